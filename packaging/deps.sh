#!/bin/sh
# Installs the Debian packages of the named sets (build, test, fuzz, bench) that are missing. Asks nothing.
set -eu

build="gcc make pkg-config libc6-dev libcurl4-openssl-dev libmicrohttpd-dev libsqlite3-dev libpq-dev libjansson-dev libssl-dev zlib1g-dev ca-certificates"
test="libcmocka-dev python3 python3-pytest python3-pytest-xdist python3-jsonschema poppler-utils clang-format git curl sqlite3 postgresql python3-psycopg2"
fuzz="clang libclang-rt-14-dev"
bench="curl rclone aria2 nginx-light wrk python3"

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
if ! { $root apt-get update -q && $root apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 30 "$log" >&2
	rm -f "$log"
	exit 1
fi
rm -f "$log"
