#!/bin/bash
# SPDX-License-Identifier: MIT
# Who may include what. Run from the root; prints offenders, exit 1 if there are any.
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

inside=$(cd ipc && printf '%s|' *.h)
inside=${inside//./\\.}
only  'public headers use libc types and themselves' \
      '(errno|stddef|stdint)\.h|tensoring/' include
never 'ipc includes nothing of src and no public header' \
      'include.*(src|tensoring)/' ipc
never 'these use what an installed user has' \
      "include *\"(\.\./|ipc/|src/|${inside%|}\")" bench examples python src/cli
never 'order belongs on the operation' \
      'atomic_thread_fence|__sync_|__atomic_|\bvolatile\b' include ipc src
# the copy routine is the one place that speaks the machine's language
asm=$(code '\b(asm|__asm__)\b' include ipc src | grep -v '^ipc/copy\.c:')
[ -z "$asm" ] || { echo "$asm"; echo '  ^ no inline assembly'; bad=1; }
never 'nothing exists only inline' 'static inline' include
exit $bad
