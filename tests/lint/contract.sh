#!/bin/bash
# SPDX-License-Identifier: MIT
# Every public call states its contract (the words are in base.h). Run from the root.
set -u
status=0

awk '
    function fail(why) { printf "%s:%d: %s\n", FILENAME, FNR, why; bad = 1 }
    function declared(text,   name) {
        name = text
        sub(/ *\(.*/, "", name)
        sub(/.*[ *]/, "", name)
        if (comment == "")
            fail(name " has no comment")
        else {
            if (text ~ /TR_API TR_CHECK int / && comment !~ /@return/)
                fail(name " does not list what it returns")
            if (comment !~ /Threads:|as tr_[a-z_]+\(\)/)
                fail(name " does not say Threads:")
            if (text ~ /TR_API TR_CHECK/ && text !~ /TR_CHECK int /)
                fail(name ": TR_CHECK is for result codes")
            if (text ~ /TR_API int / && comment ~ /TR_E[A-Z]/ && name != "tr_message_release") # may be ignored
                fail(name " returns a code and is not TR_CHECK")
        }
    }
    FNR == 1 { comment = ""; text = ""; open = 0 }
    /^\/\*/ { comment = ""; open = 1 }
    open { comment = comment $0 "\n"; if (/\*\//) open = 0; next }
    /^#/ { next }
    /^typedef struct [a-z_0-9]+ [a-z_0-9]+;/ {
        handle = $3
        if ($0 "\n" comment !~ /Threads:/) fail(handle " does not say Threads:")
        next
    }
    /^TR_API/ { text = $0 }
    !/^TR_API/ && text != "" { text = text " " $0 }
    text ~ /;/ { declared(text); text = "" } # one comment may stand before several
    /^$/ && text == "" { comment = "" }
    END { exit bad }' include/tensoring/*.h || status=1

# nothing to say is said by leaving the word out; a long comment stands above its field
grep -nE '(Owner|Crash): *-' include/tensoring/*.h &&
    { echo '  ^ leave it out, see base.h'; status=1; }
grep -nE '^ +(const )?[A-Za-z_0-9]+( =)?$' include/tensoring/*.h &&
    { echo '  ^ the comment above the field: here it breaks the declaration'; status=1; }

# every code that a comment names is in the table
table=$(grep -ohE '^ +X\([A-Z0-9]+, -' include/tensoring/error.h | sed -E 's/.*\(|,.*//g')
for code in $(grep -ohE '\bTR_E[A-Z0-9]+\b' -r include | sort -u); do
    name=${code#TR_E}
    grep -qx "$name" <<<"$table" || [ "$code" = TR_ERRORS ] || [ "$code" = TR_END ] ||
        { echo "$code is not in the table of error.h"; status=1; }
done

# every code of that table has a row in the page that explains them, and the page no other
page=docs/reference/errors.md
told=$(sed -n '/{error-table}/,/^```$/p' $page | grep -oE '^[A-Z0-9]+:' | tr -d :)
for code in $(comm -3 <(sort <<<"$table") <(sort <<<"$told")); do
    grep -qx "$code" <<<"$table" &&
        echo "TR_E$code has no row in $page: add \"$code: when it comes, and what to do\"" ||
        echo "$page explains $code, which is not in the table of error.h"
    status=1
done

# every exported function has a row in the test of the one rule for arguments
for name in $(grep -oE '^ +tr_[a-z0-9_]+;' src/tensoring.map | tr -d ' ;'); do
    grep -qE "^ROW\($name," tests/unit/rules/rows_*.h ||
        { echo "$name has no row in tests/unit/rules: call it with wrong arguments, too"; status=1; }
done
exit $status
