#!/bin/bash
# SPDX-License-Identifier: MIT
# Each public header stands alone, in C and in C++. Run from the root.
set -u
bad=0
warn='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror'
alone() { # alone COMPILER LANGUAGE STANDARD
    command -v "$1" >/dev/null || return 0
    local header
    for header in include/tensoring/*.h; do
        header=${header#include/}
        # twice: the guard works. $warn unquoted: several words
        printf '#include <%s>\n#include <%s>\ntypedef int something;\n' "$header" "$header" |
            "$1" $warn -std="$3" -Iinclude -fsyntax-only -x "$2" - || {
            echo "  ^ <$header> with $1 -std=$3"
            bad=1
        }
    done
}
alone gcc c c11
alone gcc c c17
alone g++ c++ c++11
alone g++ c++ c++17
alone clang c c11
alone clang c c17
alone clang++ c++ c++17

# An _INIT macro makes the struct that it is named after, in both languages.
uses() {
    echo '#include <tensoring/tensoring.h>'
    local init type
    for init in $(sed -nE 's/^#define (TR_[A-Z_]+_INIT)\b[^(].*/\1/p; s/^#define (TR_[A-Z_]+_INIT)$/\1/p' \
        include/tensoring/*.h | sort -u); do
        type=${init%_INIT}
        type=${type,,}
        echo "void use_$init($type *out); void use_$init($type *out) { $type made = $init; *out = made; }"
    done
}
for compiler in 'gcc c c11' 'g++ c++ c++11' 'clang c c17' 'clang++ c++ c++17'; do
    read -r name language standard <<<"$compiler"
    command -v "$name" >/dev/null || continue
    uses | "$name" $warn -std="$standard" -Iinclude -fsyntax-only -x "$language" - ||
        { echo "  ^ an _INIT macro with $name -std=$standard"; bad=1; }
done

everything=$(echo '#include <tensoring/tensoring.h>' | gcc -Iinclude -MM -MG -x c -)
for header in include/tensoring/*.h; do
    grep -q "$header" <<<"$everything" ||
        { echo "tensoring.h does not include ${header##*/}"; bad=1; }
done
exit $bad
