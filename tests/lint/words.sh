#!/bin/bash
# SPDX-License-Identifier: MIT
# Small rules that grep can hold up. Run from the root.
set -u
shopt -s lastpipe # complain() runs in this shell, so that its verdict is kept
bad=0
complain() { # complain REASON, with the offenders on standard input
    local found
    found=$(cat)
    [ -z "$found" ] || { echo "$found"; echo "  ^ $1"; bad=1; }
}
files() { # files GLOB...: those under version control, or all but the build's
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -- "$@"
    else
        local glob
        for glob in "$@"; do
            find . -path ./build -prune -o -type f -name "${glob##*/}" -print
        done
    fi
}
uncommented() {
    sed -E 's@/\*.*\*/@@; s@/\*.*@@' | grep -vE '^[^:]*:[0-9]+: *\*'
}

for file in $(files '*.c' '*.h' '*.py' '*.pyi' '*.sh' '*CMakeLists.txt' '*.cmake' \
    tests/run bench/run .ci/run); do
    [ ! -s "$file" ] || head -n 2 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
done | complain 'no SPDX line'

grep -rnE '\b(u|nano)?sleep *\(|clock_nanosleep|^ *sleep [0-9]' tests \
    --include='*.c' --include='*.h' --include='*.py' --include='*.sh' --exclude-dir=lint \
    --exclude-dir=storm | # a storm is paced by the clock, and waits for nothing so
    # Servers of others do not tell when they are ready; cuts of a link last for a time.
    grep -vE '^tests/(servers/serving|beyond/hosts).py:' |
    grep -v 'sleep(0)' | uncommented | complain 'tests wait for events, not for time'

# The private vocabulary of the first years, in names too, and relative clauses without their noun.
grep -rnE '(\b|_)(bells?|lookout|dut(y|ies)|crowd|sight|wish(es|ed)?|beds?|seats?|deput(y|ies)|watchers?|crowded)(\b|_)|\bhang_up_|\bwho_(is|has|does|waits|leaves|needs|wakes|holds|replaces)_|\b[Hh](ang|ung) up\b|\b(Who|[Ww]hoever)\b|\b(those|one) who\b' \
    ipc src include bridge python/core python/tensoring bench tests examples docs \
    README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md --exclude-dir=lint \
    --include='*.[ch]' --include='*.py' --include='*.pyi' --include='*.md' --include='*.1' --include='*.sh' |
    # A way to close, a command, and a family of scenarios in a session of last month.
    grep -vE 'hang(ing)? up|hang_up_at\b|\bls, stat, who\b|\bbells=[0-9]' |
    complain 'a word that a stranger does not know: see CONTRIBUTING.md for the words in use'

grep -rnE '\b([Ww]hoever|[Ww]hom|Who|([Tt]hose|[Oo]ne|[Ff]or|[Oo]f|and|all|everybody) who)\b|\bwho (is|are|has|had|was|can|may|must|gets?|holds?|waits?|needs?|comes?|goes|dies|lives?|sends?|takes?|asks|asked|uses?|joins?|rings?|sees|sleeps?|reaps?|does|gave)\b' \
    ipc src include bridge bench tests --include='*.[ch]' --include='*.py' |
    grep -vE '@p who|for who in' | complain 'say who: a process, a thread, a receiver'

grep -rnE '\b(lest|anew|but for|spoilt|learnt|for ever|no good|all the same|in the midst|(is|are|was|were|not) to be|(is|are|was|were) to (stop|have|go|come|end|run|call|renew|wait))\b|\b[Ss]hould (the|it|a|we|this|he|she) ' \
    ipc src include bridge bench tests docs examples README.md CONTRIBUTING.md SECURITY.md CODE_OF_CONDUCT.md \
    python/core python/tensoring \
    --include='*.[ch]' --include='*.md' --include='*.1' --include='*.py' --include='*.pyi' |
    complain 'plain words: except, again, forever, invalid, still, must be, if the ...'

grep -rnE '(/\*|"""|^ *#) ?(Of|At|By|With|From|In) ([a-z0-9@]|`)' ipc src include bridge python bench tests examples \
    --include='*.[ch]' --include='*.py' --include='*.pyi' |
    grep -vE '(/\*|"""|#) ?At (most|least|once)\b' | complain 'say what it is, not of what: begin a comment with the thing, a condition or a verb'

grep -rnE '(relaxed|local|acquire|release|E[0-9]+)(: local)?: as (above|below)' ipc src python/core |
    complain 'the reason for an order stands where the order is'

grep -rnE '\b(TODO|FIXME|XXX)\b' include src ipc bridge tests bench python examples \
    --include='*.[ch]' --include='*.py' --include='CMakeLists.txt' |
    complain 'finish it or file it'

grep -rnE '\berrno *= |\b(printf|fprintf|puts|perror|exit|_exit|abort|signal|sigaction) *\(' \
    src ipc --include='*.[ch]' |
    grep -vE '^src/cli/|errno = saved|^(src/workers/pool_spawn|ipc/names/peek)\.c:.*_exit\(|^ipc/exchange/owned\.c:' | uncommented |
    complain 'a library neither prints nor exits, and leaves errno and signals alone'

grep -rnE 'timeout[^_a-z]' include --include='*.h' | uncommented | grep -vE 'TR_COUNTERS|X\(' |
    complain 'units are in the name'

grep -rnE 'set\(CMAKE_C_FLAGS\b|add_definitions|^ *include_directories' --include=CMakeLists.txt \
    . --exclude-dir=build | complain 'targets carry the flags'

awk 'FILENAME ~ /^(\.\/)?(include|ipc|src|bridge)\// && length > 100 && !/^ \* \|/ { print FILENAME ":" FNR ": " length " columns" }' \
    $(files '*.c' '*.h') | complain 'clang-format leaves comments alone: break the line'

for file in $(files '*.c' '*.h' '*.py'); do
    lines=$(wc -l <"$file")
    [ "$lines" -le 600 ] || echo "$file: $lines lines"
done | complain 'one idea a file'
exit $bad
