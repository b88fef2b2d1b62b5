#!/bin/sh
# run.sh BUILD SECONDS [TARGET...]
#
# Builds each fuzz target with libFuzzer against BUILD/libautos.a (made with
# -fsanitize=fuzzer-no-link,address,undefined) and runs it on a copy of its corpus. A finding is
# saved in BUILD/findings and makes this fail; put it into tests/fuzz/corpus/TARGET with its fix.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=$1
seconds=$2
shift 2
cc=${CC:-clang}
libs=$(pkg-config --cflags --libs libcurl sqlite3 jansson libcrypto libmicrohttpd zlib expat)
[ $# -gt 0 ] || set -- $(cd "$here" && ls fuzz_*.c | sed 's/\.c$//')

mkdir -p "$build/fuzz" "$build/findings"
# Targets with a database sync it again and again: it stays in memory.
if [ -w /dev/shm ]; then
	TMPDIR=$(mktemp -d /dev/shm/autos-fuzz-XXXXXX)
	export TMPDIR
	trap 'rm -rf "$TMPDIR"' EXIT
fi
failed=
for target in "$@"; do
	# shellcheck disable=SC2086
	$cc -std=gnu2x -D_GNU_SOURCE -g -O1 -pthread -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -I"$here/../../src" -o "$build/fuzz/$target" \
		"$here/$target.c" "$build/libautos.a" $libs
	rm -rf "$build/fuzz/$target.corpus"
	cp -r "$here/corpus/$target" "$build/fuzz/$target.corpus"
	case $target in fuzz_api_*) dict=api.dict ;; *) dict=portal.dict ;; esac
	echo "== $target, $seconds s"
	if ! "$build/fuzz/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 \
		-max_len=65536 -dict="$here/$dict" -print_final_stats=1 -verbosity=0 \
		-artifact_prefix="$build/findings/$target-" "$build/fuzz/$target.corpus" \
		2>"$build/fuzz/$target.log"; then
		failed="$failed $target"
		tail -n 40 "$build/fuzz/$target.log" >&2
	fi
	grep -E '^stat::(number_of_executed_units|new_units_added|peak_rss_mb)' \
		"$build/fuzz/$target.log" || true
done

if [ -n "$failed" ]; then
	echo "findings in:$failed (inputs are in $build/findings)" >&2
	exit 1
fi
echo "no findings"
