#!/bin/bash
# SPDX-License-Identifier: MIT
# tidy.sh BUILD: clang-tidy finds nothing in src and ipc. Run from the root.
set -u
build=$1
command -v clang-tidy >/dev/null || exit 77
[ -e "$build/compile_commands.json" ] || exit 77
# the library's files once each: they are compiled for two targets
find src ipc bridge -name '*.c' -not -path 'src/cli/*' -print0 |
    xargs -0 -r -n 3 -P "$(nproc)" clang-tidy --quiet -p "$build" 2>/dev/null
