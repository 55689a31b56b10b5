#!/bin/bash
# SPDX-License-Identifier: MIT
# report_test.sh CTEST: whatever becomes of the tests, tests/run says what happened.
set -uo pipefail
cd "$(dirname "$0")"
. ./report.sh
ctest=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

expect() { # expect WHAT WANTED GOT
    [ "$2" = "$3" ] && return
    echo "$1: expected \"$2\", got \"$3\""
    bad=1
}

has() { # has WHAT WANTED TEXT
    [[ $3 == *"$2"* ]] && return
    echo "$1: \"$2\" is not in: $3"
    bad=1
}

limit_of() { # limit_of TR_PATIENCE
    TR_PATIENCE=$1 "$ctest" --test-dir "$work" --show-only=json-v1 |
        grep -A 1 '"TIMEOUT"' | grep -oE '[0-9]+([.]0)?$'
}

# A test that passes, one that fails, one that is skipped, then one that ends the runner.
project() { # project COMMAND
    cat >"$work/CTestTestfile.cmake" <<EOF
include("$PWD/patience.cmake")
add_test(passes true)
add_test(fails false)
add_test(skips sh -c "exit 77")
add_test(last sh -c [=[$1]=])
set_tests_properties(passes PROPERTIES TIMEOUT "100")
set_tests_properties(skips PROPERTIES SKIP_RETURN_CODE 77)
set_tests_properties(last PROPERTIES DEPENDS "passes;fails;skips")
EOF
}

run() { # run COMMAND: what is printed, and how many of what
    project "$1"
    passed=0 failed=0 skipped=0 summary=()
    rm -f "$work/junit"
    local status=0
    limited TERM 100 "$work/log" "$ctest" --test-dir "$work" --output-junit "$work/junit" ||
        status=$?
    count stage "$work/junit" "$status" "$work/log" 100 "$took" >"$work/out" 2>&1
    text=$(cat "$work/out")
}

run 'exit 0'
expect 'a report' '2 1 1' "$passed $failed $skipped"
has 'a report' 'FAILED: 1 of 4 tests, exit status 8' "$text"

run 'kill -KILL $PPID'
expect 'no report' '1 2 1' "$passed $failed $skipped"
has 'no report' 'was killed by SIGKILL' "$text"
has 'no report' 'running: last' "$text"
[[ $text != *'No such file'* && $text != *'of 0 tests'* ]] || {
    echo "errors of our own: $text"
    bad=1
}

# We are told to end while a test runs: it is named, and the last line is there.
project "kill -TERM $$; exec tail -f /dev/null"
text=$(
    passed=5 failed=0 skipped=0 summary=()
    trap closing EXIT
    trap 'stopped TERM stage' TERM
    sed -i "s/kill -TERM $$/kill -TERM $BASHPID/" "$work/CTestTestfile.cmake"
    limited TERM 100 "$work/log" "$ctest" --test-dir "$work"
)
expect 'stopped' 1 $?
has 'stopped' 'tests/run was stopped by SIGTERM' "$text"
has 'stopped' 'running: last' "$text"
expect 'stopped' '6 passed, 2 failed, 1 skipped' "${text##*$'\n'}"

cat >"$work/pytest" <<'EOF'
tests/python/test_a.py::test_one PASSED                                  [ 10%]
tests/python/test_a.py::test_two[x] SKIPPED (no such thing)              [ 20%]
tests/python/test_a.py::test_three FAILED                                [ 30%]
tests/python/test_b.py::test_four 
EOF
expect 'pytest' '1 1 1 tests/python/test_b.py::test_four' "$(read_log "$work/pytest")"
expect 'no log' '0 0 0' "$(read_log "$work/none")"

has 'its time' 'ran out of its 60 s' "$(ended 124 60 60)"
has 'its time, and it did not listen' 'ran out of its 60 s' "$(ended 137 60 80)"
expect 'an exit status' 'exit status 3' "$(ended 3 60 10)"
expect 'as fast as usual' 2 "$(slower 2 450 400)"
expect 'faster' 1 "$(slower 1 100 400)"
expect 'three times slower' 6 "$(slower 2 1200 400)"
expect 'patience' 300 "$(limit_of 3 | cut -d. -f1)"
expect 'no patience' 100 "$(limit_of '' | cut -d. -f1)"
exit $bad
