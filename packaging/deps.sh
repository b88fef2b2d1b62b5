#!/bin/sh
# Installs the Debian packages of the named sets (build, test, fuzz, bench) that are missing. Asks nothing.
set -eu

build="gcc make pkg-config libc6-dev libcurl4-openssl-dev libmicrohttpd-dev libsqlite3-dev libpq-dev libjansson-dev libssl-dev zlib1g-dev libexpat1-dev ca-certificates"
test="libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-jsonschema poppler-utils clang-format git curl sqlite3 openssl postgresql python3-psycopg2
	ceph-mon ceph-osd radosgw python3-boto3 awscli s3cmd rclone nodejs php-cli ruby golang-go"
command -v npm >/dev/null 2>&1 || test="$test npm" # with some builds of nodejs it comes along
may_lack="ceph-mon ceph-osd radosgw" # not built for every architecture: the tests say what they leave out
fuzz="clang libclang-rt-14-dev"
bench="curl rclone aria2 nginx-light wrk python3 ceph-mon ceph-osd radosgw python3-boto3 postgresql"

want=""
for set in "$@"; do
	case $set in
	build) want="$want $build" ;;
	test) want="$want $test" ;;
	fuzz) want="$want $fuzz" ;;
	bench) want="$want $bench" ;;
	*) echo "deps.sh: unknown set '$set': build, test, fuzz or bench" >&2; exit 2 ;;
	esac
done

missing=""
for p in $want; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
	root=""
elif command -v sudo >/dev/null 2>&1; then
	root="sudo"
else
	echo "missing packages, and neither root nor sudo to install them:$missing" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
can_be_had() { # in continuous integration everything has to be
	[ "${CI:-}" = true ] || apt-cache show "$1" >/dev/null 2>&1 || case " $may_lack " in *" $1 "*) false ;; esac
}
install_missing() {
	$root apt-get update -q || return 1
	found=""
	for p in $missing; do
		if can_be_had "$p"; then found="$found $p"; else echo "!!! $p cannot be had: tests are left out" >&3; fi
	done
	[ -z "$found" ] || $root apt-get install -y -q --no-install-recommends $found
}
if ! install_missing 3>&2 >"$log" 2>&1; then
	tail -n 30 "$log" >&2
	rm -f "$log"
	exit 1
fi
rm -f "$log"
