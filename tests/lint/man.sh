#!/bin/bash
# SPDX-License-Identifier: MIT
# man.sh BUILD: every exported call has a page, and pages are well-formed. Run from the root.
# 77: the build made no pages, since there is no Python.
set -u
folder=$1/docs/man/man3
status=0
ls "$folder"/*.3 >/dev/null 2>&1 || exit 77

for name in $(grep -oE '^ +tr_[a-z0-9_]+;' src/tensoring.map | tr -d ' ;'); do
    [ -e "$folder/$name.3" ] || { echo "$name has no page"; status=1; }
done

# mandoc says more; man is on more machines.
checked() {
    if command -v mandoc >/dev/null; then
        mandoc -T lint -W warning "$@"
    elif command -v man >/dev/null && command -v troff >/dev/null; then
        local page
        for page in "$@"; do
            LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null |
                sed "s@^@$page: @"
        done
    else
        exit 77
    fi
}
found=$(checked docs/man/*.1 "$folder"/*.3)
[ $? != 77 ] || { [ $status != 0 ] || exit 77; }
[ -z "$found" ] || { echo "$found"; status=1; }
exit $status
