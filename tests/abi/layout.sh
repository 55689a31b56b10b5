#!/bin/sh
# SPDX-License-Identifier: MIT
# layout.sh DUMP GOLDEN: every shared byte is where it was. To move one is to raise the
# layout version, once it is released, and to renew the list:
#   build/dev/tests/abi/layout_dump >tests/abi/layout.golden
set -eu
printed=$(mktemp)
trap 'rm -f "$printed"' EXIT
"$1" >"$printed"
grep -q '^slot_record.owner ' "$printed" # the program does list fields
if ! diff -u "$2" "$printed"; then
    echo "the shared layout has changed"
    exit 1
fi
