#!/bin/sh
# Format, banned functions, sizes. Prints what is wrong, one line each; exits 1 if anything is.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
say() { echo "$*"; bad=1; }

sources=$(git ls-files -co --exclude-standard 'src/*.[ch]' 'sim/*.[ch]' 'tests/*.c' 'tests/*.h')
[ -n "$sources" ] || say "no sources found"

# One format.
if command -v clang-format >/dev/null 2>&1; then
	for f in $sources; do
		clang-format "$f" | cmp -s - "$f" || say "$f: not formatted: run make format"
	done
else
	say "clang-format is missing"
fi

# Functions that the standard library offers and we do not use.
banned='strcpy|strcat|sprintf|vsprintf|strncpy|strncat|strtok|atoi|atol|gets|gmtime|localtime|system|popen|tmpnam|mktemp|alloca'
grep -nE "(^|[^_a-zA-Z0-9.>])($banned)[[:space:]]*\(" $(echo "$sources" | grep -E '^(src|sim)/') && say "banned function"
grep -nE '(^|[^_a-zA-Z0-9.>])(malloc|calloc|realloc|strdup|strndup|asprintf)[[:space:]]*\(' \
	$(echo "$sources" | grep -E '^(src|sim)/' | grep -v '^src/sys\.c$') && say "allocation outside sys.c"
grep -nE '(^|[^_a-zA-Z0-9.>])(printf|puts|putchar)[[:space:]]*\(' \
	$(echo "$sources" | grep -E '^(src|sim)/' | grep -vE '^(src|sim)/main\.c$') && say "printf outside main.c"
grep -nE '\<(TODO|FIXME|XXX)\>' $(echo "$sources") && say "unfinished business"

# Sizes: a file is about one thing, a function fits on a screen.
for f in $(echo "$sources" | grep -E '^(src|sim)/'); do
	n=$(wc -l <"$f")
	[ "$n" -le 500 ] || say "$f: $n lines, at most 500"
	awk -v f="$f" '/^[a-z].*\)$/ || /^[a-z].*[,(]$/ { start = NR } /^\{/ { open = NR }
		/^\}/ && open { if (NR - open > 61) { print f ":" open ": function of " NR - open - 1 " lines, at most 60"; bad = 1 } open = 0 }
		END { exit bad }' "$f" || bad=1
	head -n 1 "$f" | grep -q '^/\*' || say "$f: no head comment"
done
exit $bad
