#!/bin/sh
# SPDX-License-Identifier: MIT
# layout.sh DUMP GOLDEN LAYOUT_H: every shared byte is where it was. To move one is to
# raise the layout version and to renew layout.golden: layout_dump >tests/abi/layout.golden
set -eu
dump=$1 golden=$2 header=$3

printed=$(mktemp)
trap 'rm -f "$printed"' EXIT
"$dump" >"$printed"
if ! diff -u "$golden" "$printed"; then
    echo "the shared layout has changed"
    exit 1
fi

# the dump leaves no field out: each struct and field declared is in it
awk '
    /^struct [a-z_0-9]+ *\{/ { name = $2; next }
    /^\}/ { name = ""; next }
    name != "" {
        line = $0
        if (comment) {
            if (line !~ /\*\//) next
            sub(/.*\*\//, "", line)
            comment = 0
        }
        gsub(/\/\*[^*]*\*\//, "", line)
        if (sub(/\/\*.*/, "", line)) comment = 1
        while (match(line, /[a-z_0-9]+ *(\[[^]]*\])? *[,;]/)) {
            field = substr(line, RSTART, RLENGTH)
            sub(/[^a-z_0-9].*/, "", field)
            print name "." field
            line = substr(line, RSTART + RLENGTH)
        }
    }' "$header" | while read -r field; do
    grep -qE "^$(printf %s "$field" | sed 's/\./\\./') " "$printed" ||
        { echo "layout_dump.c leaves out $field"; exit 1; }
done
