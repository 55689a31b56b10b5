#!/bin/bash
# SPDX-License-Identifier: MIT
# Every memory order is argued. Run from the root.
#  - ipc names its edges: only order.h spells an order other than relaxed.
#  - Where an edge or relaxed is used, the line or a comment shortly above says why: it
#    has "E<n>" or "relaxed:".
#  - The edges of order.h, those used and those in the table of docs/explanation/memory-model.md are
#    the same; each end of an edge is used; the functions that the table names exist.
set -u
status=0
model=docs/explanation/memory-model.md

awk '
    function code(line) {
        gsub(/\/\*[^*]*\*\//, "", line)
        sub(/\/\*.*/, "", line)
        return line
    }
    function argued(word,   i) {
        for (i = FNR; i > 0 && i >= FNR - 12; i--) {
            if (i < FNR && text[i] ~ /^}/) break
            if (index(comment[i], word)) return 1
        }
        return 0
    }
    FNR == 1 { inside = 0; delete text; delete comment }
    {
        text[FNR] = $0
        was = inside
        if (!inside && $0 ~ /\/\*/) inside = 1
        comment[FNR] = inside ? $0 : ""
        if (!was && inside) sub(/.*\/\*/, "", comment[FNR])
        if (inside && $0 ~ /\*\//) inside = 0
        if (was) next
        line = code($0)
        if (line ~ /memory_order_/ && line !~ /memory_order_relaxed/) {
            printf "%s:%d: an order without an edge:%s\n", FILENAME, FNR, $0
            bad = 1
        }
        if (line ~ /memory_order_relaxed/ && !argued("relaxed:")) {
            printf "%s:%d: relaxed, and nobody says why\n", FILENAME, FNR
            bad = 1
        }
        while (match(line, /[^A-Za-z0-9_]E[0-9]+/)) { # no \< in mawk
            edge = substr(line, RSTART + 1, RLENGTH - 1)
            if (!argued(edge)) {
                printf "%s:%d: %s, and nobody says why\n", FILENAME, FNR, edge
                bad = 1
            }
            line = substr(line, RSTART + RLENGTH)
        }
    }
    END { exit bad }' $(find ipc -name '*.[ch]' | grep -v '^ipc/order\.h$') || status=1

ends=$(grep -ohE '^#define E[0-9]+[A-Z_]*' ipc/order.h | cut -d' ' -f2 | sort -u)
for end in $ends; do
    grep -rlw "$end" ipc | grep -qv '^ipc/order\.h$' ||
        { echo "ipc/order.h: nobody uses $end"; status=1; }
done
defined=$(sed 's/_.*//' <<<"$ends" | sort -u)
listed=$(grep -oE '^\| *E[0-9]+' $model | grep -oE 'E[0-9]+' | sort -u)
diff --label ipc/order.h --label "table of $model" -u <(echo "$defined") <(echo "$listed") ||
    status=1
for name in $(grep -E '^\| *E[0-9]+' $model | grep -oE '\b[a-z_]+\(\)' | tr -d '()' | sort -u); do
    grep -rqE "\b$name\(" ipc src ||
        { echo "$model: there is no $name()"; status=1; }
done
exit $status
