#!/bin/sh
# SPDX-License-Identifier: MIT
# exports.sh ROOT LIBRARY: what the library exports, what src/tensoring.map lists and what
# include/ declares with TR_API are the same names; and none of them can be taken from the library
# itself by a program, or another copy of it, that has the same name.
set -eu
root=$1 library=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# a sanitizer adds names of its own to what a program may override
nm -D --defined-only "$library" | awk '$2 ~ /[TDBRW]/ {print $3}' |
    sed 's/@.*//' | grep -vE '^(_init|_fini|__(asan|tsan|ubsan|odr)_)' |
    LC_ALL=C sort -u >"$dir/exported"
sed -n '/global:/,/local:/s/^ *\([a-z_0-9]*\);.*/\1/p' "$root/src/tensoring.map" |
    LC_ALL=C sort -u >"$dir/listed"
cat "$root"/include/tensoring/*.h | sed '/^#define/d' | tr '\n' ' ' |
    grep -oE '\bTR_API\b[^;(]*\(' | sed -E 's/.*[ *]([a-z_0-9]+) *\($/\1/' |
    LC_ALL=C sort -u >"$dir/declared"

bad=0
compare() { # compare A B: the two lists agree
    if ! diff -u --label "$1" --label "$2" "$dir/$1" "$dir/$2"; then
        bad=1
    fi
}
compare declared listed
compare listed exported
readelf --relocs --wide "$library" | grep -oE '\btr_[a-z_0-9]+' | LC_ALL=C sort -u >"$dir/found"
if LC_ALL=C comm -12 "$dir/found" "$dir/listed" | grep .; then
    echo "the library calls these of its own functions by what the program has by the name"
    bad=1
fi
[ -s "$dir/declared" ] || { echo "found no TR_API name at all"; bad=1; }
exit $bad
