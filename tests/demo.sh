#!/bin/sh
# The demo: a simulated portal, one case of about forty documents, the folder it becomes.
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d "${TMPDIR:-/tmp}/autos-demo-XXXXXX")
out=$dir/autos
log=$dir/simulator.log
build/autos-sim --listen 127.0.0.1:0 --cases 1 --documents 40 --latency 250 >"$log" 2>&1 &
sim=$!
trap 'kill $sim 2>/dev/null || true' EXIT INT TERM

url=""
while [ -z "$url" ]; do
	kill -0 $sim 2>/dev/null || { echo "the simulator did not start:"; cat "$log"; exit 1; }
	url=$(sed -n 's/^listening on //p' "$log")
	[ -n "$url" ] || sleep 0.05
done
number=$(build/autos-sim --list --cases 1 --documents 40 | awk -F'\t' '$2 == "plain" { print $1; exit }')
build/autos-sim --make-token 3600 >"$dir/token"

echo "A simulated portal listens on $url. Fetching case $number:"
echo
echo "  autos get $number -o $out"
echo
build/autos get "$number" -o "$out" \
	--set portal_url="$url/api/v2" --set portal_token_file="$dir/token" --set data_dir="$dir/data"
echo
ls -l "$out/$number" | awk 'NR > 1 { printf "  %9d  ", $5; for (i = 9; i <= NF; i++) printf "%s ", $i; print "" }' | head -n 12
echo "  ... $(ls "$out/$number" | wc -l) files in $out/$number"
echo
build/autos verify "$number" --set data_dir="$dir/data"
cat <<EOF

What to try next:
  less $out/$number/manifest.json      what is there, from where, with which SHA-256
  build/autos status $number --set data_dir=$dir/data
  build/autos-sim --list                 case numbers with every oddity of the portal
  build/autos get --help                 your own first case: see README.md, "A first case of your own"
EOF
