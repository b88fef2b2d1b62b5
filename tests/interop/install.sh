#!/bin/sh
# Puts the reference library of Standard Webhooks, as package-lock.json has it, into build/interop.
set -eu
cd "$(dirname "$0")/../.."
to=build/interop
if [ -d "$to/node_modules/standardwebhooks" ] && cmp -s tests/interop/package-lock.json "$to/package-lock.json"; then
	exit 0
fi
mkdir -p "$to"
cp tests/interop/package.json tests/interop/package-lock.json "$to"
cd "$to"
npm ci --ignore-scripts --no-audit --no-fund --silent
