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

everything=$(echo '#include <tensoring/tensoring.h>' | gcc -Iinclude -MM -MG -x c -)
for header in include/tensoring/*.h; do
    grep -q "$header" <<<"$everything" ||
        { echo "tensoring.h does not include ${header##*/}"; bad=1; }
done
exit $bad
