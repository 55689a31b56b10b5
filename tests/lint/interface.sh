#!/bin/bash
# SPDX-License-Identifier: MIT
# The public interface is regular. Run from the root.
#
#  1. A call is named after its object: the type of its first argument, or what it makes
#     (T *out or T **out at the end). A call without an object is named after its subject: see `subjects`.
#  2. Results come last; the room that a buffer has may follow the buffer, and the size of its elements.
#  3. What Python programs call by ctypes is there: no compiler looks at them.
set -u

check() { # check FILE...: print offenders
    cat "$@" | awk '
    BEGIN {
        # no handle stands for these: a ticket, this process, a file, a result code, ...
        n = split("request worker npy stats error log version", list, " ")
        for (i = 1; i <= n; i++)
            subjects["tr_" list[i]] = 1
        # a plan that an arena keeps: the arena is the place, the plan is what moves
        free["tr_plan_put"] = free["tr_plan_get"] = 1
        # of a dtype and a shape, which are a tensor to be
        free["tr_tensor_nbytes"] = 1
        # the name that errno has taught everybody
        free["tr_strerror"] = 1
        # a cursor goes in and out
        late["tr_board_next"] = 1
        # the order of epoll_wait()
        late["tr_waitset_wait"] = 1
    }
    function fail(why) { print name ": " why }
    function starts(text, with) { return text == with || index(text, with "_") == 1 }
    function subject(   s) {
        for (s in subjects)
            if (starts(name, s))
                return 1
        return 0
    }
    function check_name(first, last,   type, opened) {
        type = opened = ""
        if (match(first, /tr_[a-z_]+/))
            type = substr(first, RSTART, RLENGTH)
        if (last ~ /^tr_[a-z_]+ *\*/ && match(last, /tr_[a-z_]+/))
            opened = substr(last, RSTART, RLENGTH)
        if (opened == "" && type == "" && first ~ /^(const char|int|uint64_t|uint32_t|void)/) {
            for (type in handles)
                if (starts(name, type))
                    return
            type = ""
        }
        if (opened != "" && starts(name, opened) || type != "" && starts(name, type))
            return
        fail("the prefix is neither its first argument (" first ") nor what it makes (" last ")")
    }
    function is_result(arg) {
        if (arg !~ /\*/ || arg ~ /^const / || arg ~ /\* *context$/)
            return 0
        if (arg ~ /\*\*/)
            return 1
        match(arg, /^[a-z_0-9]+/)
        return !(substr(arg, 1, RLENGTH) in handles) && !(substr(arg, 1, RLENGTH) in callbacks)
    }
    function is_room(one, before) {
        if (one == "size_t capacity" && before == "size_t element_bytes")
            return 1
        return one ~ /^size_t ([a-z_]*capacity|[a-z_]*bytes)$/ && is_result(before)
    }
    function check_order(arg, n,   i, seen) {
        seen = ""
        for (i = 1; i <= n; i++) {
            if (is_result(arg[i]))
                seen = arg[i]
            else if (seen != "" && !is_room(arg[i], arg[i - 1])) {
                fail("\"" arg[i] "\" comes after the result \"" seen "\"")
                return
            }
        }
    }
    function declared(text,   args, arg, n, i) {
        name = args = text
        sub(/\(.*/, "", name)
        sub(/.*[ *]/, "", name)
        sub(/^[^(]*\(/, "", args)
        sub(/\) *;.*/, "", args)
        n = split(args, arg, / *, */)
        for (i = 1; i <= n; i++)
            gsub(/^ +| +$/, "", arg[i])
        if (!subject() && !(name in free))
            check_name(arg[1], arg[n])
        if (!(name in late))
            check_order(arg, n)
        calls++
    }
    { sub(/\/\*.*\*\//, "") }
    /^ *\/\*/ { comment = 1 }
    comment { if (/\*\//) comment = 0; next }
    /^#/ { next }
    { all = all " " $0 }
    END {
        gsub(/ +/, " ", all)
        n = split(all, line, /;/)
        for (i = 1; i <= n; i++)
            if (match(line[i], /typedef struct tr_[a-z_]+ tr_[a-z_]+ *$/)) {
                sub(/ *$/, "", line[i])
                sub(/.* /, "", line[i])
                handles[line[i]] = 1
            } else if (match(line[i], /typedef void tr_[a-z_]+\(/)) {
                sub(/\(.*/, "", line[i])
                sub(/.* /, "", line[i])
                callbacks[line[i]] = 1
            }
        for (i = 1; i <= n; i++)
            if (match(line[i], /TR_API .*\(/) && line[i] !~ /define/)
                declared(substr(line[i], RSTART) ";")
        if (calls < 3)
            print "found no declarations"
    }'
}

# It sees what it is there for.
planted=$(check /dev/stdin <<'EOF2'
typedef struct tr_arena tr_arena;
typedef struct tr_queue tr_queue;
TR_API TR_CHECK int tr_queue_open(tr_arena *arena, const char *name, tr_queue **out);
TR_API TR_CHECK int tr_hello(tr_arena *arena, const char *name);
TR_API TR_CHECK int tr_arena_create(tr_arena **out, const char *name);
EOF2
)
if ! grep -q '^tr_hello: ' <<<"$planted" || ! grep -q '^tr_arena_create: "const char' <<<"$planted" ||
    grep -q tr_queue_open <<<"$planted"; then
    echo "$planted"
    echo "  ^ the lint does not find exactly the breaches that are planted"
    exit 1
fi

found=$(check include/tensoring/*.h)
[ -z "$found" ] || { echo "$found"; exit 1; }

# missing FILE...: calls of the library, as library.tr_...(), that it does not export
missing() {
    grep -ohE '\blibrary\.tr_[a-z_0-9]+' "$@" | sort -u | while read -r name; do
        grep -qw "${name#library.}" src/tensoring.map || echo "${name#library.} is not exported"
    done
}

[ "$(missing /dev/stdin <<<'library.tr_hello(1); library.tr_queue_open(2)')" = "tr_hello is not exported" ] ||
    { echo "the lint does not find the call that is planted"; exit 1; }
found=$(missing $(git ls-files 'tests/*.py' 'bench/*.py' 'examples/*.py'))
[ -z "$found" ] || { echo "$found"; exit 1; }
