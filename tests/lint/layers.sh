#!/bin/bash
# SPDX-License-Identifier: MIT
# Which files may include which. Run from the root; prints offenders, exit 1 if there are any.
set -u
bad=0

# Lines of code only: comments may say what they like. Prints path:line:text.
code() { # code PATTERN FOLDER...
    local pattern=$1
    shift
    grep -rnE "$pattern" --include='*.[ch]' "$@" 2>/dev/null |
        sed -E 's@/\*.*\*/@@; s@/\*.*@@' | grep -vE '^[^:]*:[0-9]+: *\*' |
        grep -E "^[^:]*:[0-9]+:.*($pattern)"
}
only() { # only REASON PATTERN FOLDER: every #include in FOLDER matches PATTERN
    code '# *include' "$3" | grep -vE "include *[<\"]($2)" && { echo "  ^ $1"; bad=1; }
}
never() { # never REASON PATTERN FOLDER...
    local why=$1 pattern=$2
    shift 2
    code "$pattern" "$@" && { echo "  ^ $why"; bad=1; }
}
# Includes by their path from the root: bench and python/core name files without their own folder.
included() { # included FOLDER...
    code '# *include *"' "$@" | sed -E 's@^((bench|bridge|python/core)/[^"]*")@\1\2/@'
}
# What stands on what: a folder of ROOT includes itself and those before it; "." is ROOT.
stands() { # stands ROOT FOLDER...
    local root=$1
    shift
    included "$root" | grep "\"$root/" | awk -F'[:"]' -v root="$root" -v order="$*" '
        function folder(path, part, n) {
            n = split(path, part, "/")
            return n > 2 ? part[2] : "."
        }
        BEGIN {
            n = split(order, list, " ")
            for (i = 1; i <= n; i++)
                rank[list[i]] = i
        }
        {
            from = folder($1)
            to = folder($4)
            if (from == "cli" || $4 == "ipc/layout.h")
                next
            if (!(from in rank) || !(to in rank) || rank[to] > rank[from]) {
                print
                bad = 1
            }
        }
        END { exit bad }' || {
            echo "  ^ in $root the order is: $*; a folder includes itself and those before it."
            echo '    Move down what both need, or ask by a hook, as ipc/hooks.h does'
            bad=1
        }
}

inside=$(find ipc -name '*.h' -printf '%f|')
inside=${inside//./\\.}
only  'public headers use libc types and themselves' \
      '(errno|stdbool|stddef|stdint)\.h|tensoring/' include
never 'ipc includes nothing of src and no public header' \
      'include.*(src|tensoring)/' ipc
never 'these use what an installed user has' \
      "include *\"(\.\./|ipc/|src/|${inside%|}\")" bench bridge examples python src/cli
never 'what a bridge keeps is behind the public interface' \
      'include *[<"](ipc|src)/' bridge
never 'order belongs on the operation' \
      'atomic_thread_fence|__sync_|__atomic_|\bvolatile\b' include ipc src
# the copy routine is the one place that speaks the machine's language
asm=$(code '\b(asm|__asm__)\b' include ipc src | grep -v '^ipc/memory/copy\.c:')
[ -z "$asm" ] || { echo "$asm"; echo '  ^ no inline assembly'; bad=1; }
never 'nothing exists only inline' 'static inline' include

stands ipc kernel . memory signal exchange liveness wait names
stands src text base tensor arena message channel waitset files workers .
stands bench transports harness jobs cases .
# A file and its header are one; "liveness/reap exchange/ring" says that reap includes ring. Tests
# include headers of their own folder by their names alone, too.
circles=$({ included ipc src bench bridge python/core
    code '# *include *"' tests | sed -E 's@^([^:]*/)([^/:]*:[0-9]+:.*")((rules/)?[^"/]*\.h")@\1\2\1\3@'; } |
    sed -E 's@^([^:]*)\.[ch]:[0-9]+:.*"([^"]*)\.h".*@\1 \2@' | tsort 2>&1 >/dev/null)
[ -z "$circles" ] || { echo "$circles"; echo '  ^ files include each other in a circle: move what they share into a file below both'; bad=1; }
exit $bad
