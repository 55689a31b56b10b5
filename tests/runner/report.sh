# SPDX-License-Identifier: MIT
# report.sh - how tests/run counts and tells. Sourced; changes passed, failed, skipped, summary.
passed=0 failed=0 skipped=0
summary=()
started=$SECONDS # the stage
child= took=0    # the command that limited() runs, or how long the last one took
current=/dev/null # its log

seconds() {
    echo $((SECONDS - started))
}

show() { # show LOG: the end of it, indented
    [ ! -s "$1" ] || tail -n 60 "$1" | sed 's/^/    /'
}

note() { # note STAGE TEXT: a line for the summary
    summary+=("$(printf '%-11s %4d s  %s' "$1" "$(seconds)" "$2")")
    echo "${summary[-1]}"
}

fail() { # fail STAGE WHAT LOG: what is not a test of its own counts as one failure
    failed=$((failed + 1))
    echo "--- $1: $2"
    show "$3"
    note "$1" "FAILED: $2"
}

# --- limits of time --------------------------------------------------------------------

# The factor for limits of time: TR_PATIENCE, times how much slower this machine is now than
# the one that the limits were made on. Every CPU counts for a while, side by side.
patience() {
    local from=$EPOCHREALTIME i ms usual=400
    for ((i = 0; i < $(nproc); i++)); do
        (for ((n = 0; n < 200000; n++)); do :; done) &
    done
    wait
    ms=$(((${EPOCHREALTIME/[.,]/} - ${from/[.,]/}) / 1000))
    slower "${TR_PATIENCE:-1}" "$ms" "$usual"
}

slower() { # slower FACTOR MS USUAL: FACTOR, times MS / USUAL if that is more than 1
    local ratio=$((($2 + $3 / 2) / $3))
    echo $(($1 * (ratio > 1 ? ratio : 1)))
}

# In the background, so that we hear a signal at once, see stopped(). There a shell ignores
# SIGINT, which tests must not inherit.
limited() { # limited SIGNAL SECONDS LOG COMMAND...: sends it SIGNAL when its time is over
    local from=$SECONDS status=0
    current=$3
    env --default-signal=INT,QUIT timeout --signal="$1" --kill-after=20 "$2" "${@:4}" \
        >"$3" 2>&1 &
    child=$!
    wait "$child" 2>/dev/null || status=$?
    child= took=$((SECONDS - from)) current=/dev/null
    return $status
}

ended() { # ended STATUS SECONDS TOOK: in words
    local signal=$(($1 > 128 ? $1 - 128 : 0))
    if [ "$1" = 124 ] || { [ $signal != 0 ] && [ "$3" -ge "$2" ]; }; then
        echo "ran out of its $2 s; TR_PATIENCE=2 doubles all limits"
    elif [ $signal != 0 ]; then
        echo "was killed by SIG$(kill -l $signal 2>/dev/null || echo $signal) after $3 s"
    else
        echo "exit status $1"
    fi
}

# --- results ---------------------------------------------------------------------------

attribute() { # attribute FILE NAME: of the first <testsuite> in it; 0 if there is none
    local value
    value=$(tr '\n\t' '  ' <"$1" | grep -oE '<testsuite [^>]*' | head -n 1 |
        grep -oE "\b$2=\"[0-9]+\"" | grep -oE '[0-9]+')
    echo "${value:-0}"
}

# Of a log by ctest or by pytest -v: how many passed, failed and were skipped, and the names
# of those that had begun and not ended.
read_log() { # read_log LOG
    [ -e "$1" ] || { echo 0 0 0; return; }
    awk '
        /^ *Start +[0-9]+: / { number = $2; sub(":", "", number); running[number] = $3; next }
        /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
            match($0, /#[0-9]+:/)
            delete running[substr($0, RSTART + 1, RLENGTH - 2)]
            if (/\*\*\*(Skipped|Not Run)/) skipped++
            else if (/ Passed /) passed++
            else failed++
            next
        }
        /^[^ ]+\.py::/ {
            delete running["py"]
            if (/ (SKIPPED|XFAIL)/) skipped++
            else if (/ (PASSED|XPASS)/) passed++
            else if (/ (FAILED|ERROR)/) failed++
            else running["py"] = $1
        }
        END {
            printf "%d %d %d", passed, failed, skipped
            for (number in running) printf " %s", running[number]
            print ""
        }' "$1"
}

whole() { # whole FILE: whether it is a report that was written to its end
    [ -s "$1" ] && grep -q '</testsuites\?>' "$1"
}

add() { # add PASSED FAILED SKIPPED
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

cut_short() { # cut_short STAGE HOW LOG: what is known of tests whose runner has no report
    local good bad skip running
    read -r good bad skip running < <(read_log "$3")
    add "$good" "$((bad + 1))" "$skip"
    echo "--- $1"
    show "$3"
    note "$1" "FAILED: $2; until then $good passed, $bad failed; running: ${running:-nothing}"
}

count() { # count STAGE JUNIT STATUS LOG LIMIT TOOK: add the results of a test runner
    local all bad skip
    if ! whole "$2"; then
        cut_short "$1" "$(ended "$3" "$5" "$6")" "$4"
        return
    fi
    all=$(attribute "$2" tests) skip=$(attribute "$2" skipped)
    skip=$((skip + $(attribute "$2" disabled)))
    bad=$(($(attribute "$2" failures) + $(attribute "$2" errors)))
    add $((all - bad - skip)) "$bad" "$skip"
    if [ "$3" != 0 ]; then
        echo "--- $1"
        show "$4"
        [ "$bad" -gt 0 ] || failed=$((failed + 1))
        note "$1" "FAILED: $bad of $all tests, $(ended "$3" "$5" "$6")"
    else
        note "$1" "$((all - skip)) tests passed, $skip skipped"
    fi
}

# --- the end ---------------------------------------------------------------------------

closing() { # the last line says how many, always
    local line="$passed passed, $failed failed"
    echo
    [ ${#summary[@]} = 0 ] || printf '%s\n' "${summary[@]}"
    echo "$SECONDS s in all; logs are in build/logs"
    [ "$skipped" = 0 ] || line+=", $skipped skipped"
    echo "$line"
}

stopped() { # stopped SIGNAL STAGE: somebody wants us to end
    trap '' HUP INT TERM
    local jobs
    jobs=$(jobs -p)
    # shellcheck disable=SC2086 # words
    [ -z "$jobs" ] || kill -TERM $jobs 2>/dev/null
    wait
    cut_short "$2" "tests/run was stopped by SIG$1" "$current"
    exit 1
}
