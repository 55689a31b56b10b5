#!/bin/bash
# SPDX-License-Identifier: MIT
# The public interface is regular. Run from the root.
#
#  1. A call is named after its object: the type of its first argument, or what it makes
#     (T *out or T **out at the end). A call without an object is named after its subject: see `subjects`.
#  2. Results come last; the room that a buffer has may follow the buffer, and the size of its elements.
#  3. A struct begins with struct_size, so that it can grow, or is in `fixed` or `elements`.
#  4. The constants of an enum begin with its name, or with the part of it that names the object:
#     tr_queue_policy has TR_QUEUE_DROP.
#  5. What Python programs call by ctypes is there: no compiler looks at them.
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
[ -z "$found" ] || { echo "$found"; echo '  ^ see the rules at the top of tests/lint/interface.sh'; exit 1; }

check_types() { # check_types FILE...: print offenders
    cat "$@" | awk '
    BEGIN {
        # these are complete: part of what tensors are, or of the calls that take them
        n = split("slot_class dtype tensor tensor_spec event npy cpuset", list, " ")
        for (i = 1; i <= n; i++)
            fixed["tr_" list[i]] = 1
        # a call that fills an array of these takes the size of one
        n = split("participant_stats channel_stats class_stats plan_worker plan_core thread_library",
                  list, " ")
        for (i = 1; i <= n; i++)
            elements["tr_" list[i]] = 1
    }
    { sub(/\/\*.*\*\//, "") }
    /^ *\/\*/ { comment = 1 }
    comment { if (/\*\//) comment = 0; next }
    /^#/ { next }
    { sub(/\/\*.*/, "") }
    /^(typedef )?struct tr_[a-z_]+ *\{/ {
        match($0, /tr_[a-z_]+/)
        type = substr($0, RSTART, RLENGTH)
        first = 1
        next
    }
    /^typedef (struct|enum) *\{/ { print "line \"" $0 "\": give it a name"; next }
    /^typedef enum tr_[a-z_]+/ {
        match($0, /tr_[a-z_]+/)
        kind = substr($0, RSTART, RLENGTH)
        next
    }
    /^}/ { type = kind = "" }
    type != "" && first && NF {
        first = 0
        if ($0 !~ /^ *uint32_t struct_size;/ && !(type in fixed) && !(type in elements))
            print type " does not begin with \"uint32_t struct_size;\": then it can never grow"
    }
    kind != "" && match($0, /^ *TR_[A-Z0-9_]+/) {
        name = tolower(substr($0, RSTART, RLENGTH))
        gsub(/ /, "", name)
        n = split(kind, part, "_")
        if (index(name, part[1] "_" part[2] "_") != 1)
            print toupper(name) " does not begin with the name of " kind
    }'
}

planted=$(check_types /dev/stdin <<'EOF2'
typedef struct tr_hello_options {
    uint32_t depth;
} tr_hello_options;
typedef enum tr_hello_kind { /* one */
    TR_HELLO_ONE = 0, /**< one */
    TR_TWO = 1 /**< two */
} tr_hello_kind;
typedef struct tr_good {
    uint32_t struct_size; /**< sizeof */
} tr_good;
EOF2
)
[ "$(cut -d' ' -f1 <<<"$planted" | tr '\n' ' ')" = "tr_hello_options TR_TWO " ] ||
    { echo "$planted"; echo "  ^ the lint does not find exactly the breaches that are planted"; exit 1; }
found=$(check_types include/tensoring/*.h)
[ -z "$found" ] || { echo "$found"; echo '  ^ see the rules at the top of tests/lint/interface.sh'; exit 1; }

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
