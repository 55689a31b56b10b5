#!/bin/sh
# SPDX-License-Identifier: MIT
# layout_dump.sh LAYOUT_H OUT: write a C program that prints offset and size of every field of
# every struct in it, so that none is left out.
exec >"$2"
cat <<'HEAD'
#include <stdio.h>

#include "ipc/layout.h"

#define SIZE(type) printf("%s: %zu bytes\n", #type, sizeof(struct type))
#define FIELD(type, field) \
    printf("%s.%s %zu %zu\n", #type, #field, offsetof(struct type, field), \
           sizeof(((struct type *)0)->field))

int main(void)
{
    printf("layout %d\n", ARENA_LAYOUT);
HEAD
awk '
    /^struct [a-z_0-9]+ *\{/ { name = $2; print "    SIZE(" name ");"; next }
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
            print "    FIELD(" name ", " field ");"
            line = substr(line, RSTART + RLENGTH)
        }
    }' "$1"
printf '    return 0;\n}\n'
