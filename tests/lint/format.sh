#!/bin/bash
# SPDX-License-Identifier: MIT
# .clang-format is kept. Run from the root. 77: there is no clang-format, or one whose
# taste differs from that of the version we use.
set -u
command -v clang-format >/dev/null || exit 77
clang-format --version | grep -q 'version 14\.' || exit 77
find include src ipc bridge tests bench python examples -name '*.[ch]' -print0 2>/dev/null |
    xargs -0 -r clang-format --dry-run --Werror
