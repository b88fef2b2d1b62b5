#!/bin/sh
# Kills the program at N random moments (default 10000) and checks after each that nothing was lost.
# SEED=N repeats a campaign, JOBS=N says how many parts run at once, BUILD=DIR which program.
set -eu
cd "$(dirname "$0")/.."
KILLS=${1:-10000}
case $KILLS in *[!0-9]*) echo "usage: tests/campaign-kill.sh [N]" >&2; exit 2 ;; esac
AUTOS_BUILD=${BUILD:-build} SEED=${SEED:-$(date +%s)} PYTHONDONTWRITEBYTECODE=1
export KILLS SEED AUTOS_BUILD PYTHONDONTWRITEBYTECODE
echo "$KILLS kills, SEED=$SEED"
exec /usr/bin/python3 -m pytest -q -p no:cacheprovider -n "${JOBS:-$(($(nproc) * 2))}" -rP -k test_killed tests/e2e/test_kill.py
