/* SPDX-License-Identifier: MIT */
/* bridge_child_test.c - the program of a bridge as a child: a script stands for it, and writes down
 * its arguments and its input. What the program does itself is in tests/beyond. */
#include "own_name.h"
#include "support.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

static char folder[64], script[96], record[96];
static tr_arena *arena;

static void write_script(const char *text)
{
    FILE *file = fopen(script, "w");

    assert_non_null(file);
    fprintf(file, "#!/bin/sh\necho \"pid $$\" >>%s\n%s\n", record, text);
    fclose(file);
    assert_int_equal(chmod(script, 0700), 0);
}

static int open_all(void **state)
{
    tr_slot_class class = {4096, 8};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    (void)state;
    strcpy(folder, "/tmp/tensoring-bridge-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(script, sizeof(script), "%s/program", folder);
    snprintf(record, sizeof(record), "%s/record", folder);
    options.classes = &class;
    options.class_count = 1;
    assert_ok(tr_arena_create(NAME, &options, &arena));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    tr_arena_close(arena);
    assert_ok(tr_arena_unlink(NAME));
    unlink(script);
    unlink(record);
    rmdir(folder);
    return 0;
}

static tr_bridge_options of_script(void)
{
    tr_bridge_options options = TR_BRIDGE_OPTIONS_INIT;

    options.peer = "host:7411";
    options.key = "a.key";
    options.peer_key = "b.pub";
    options.program = script;
    return options;
}

static tr_bridge *start_script(const char *text)
{
    tr_bridge_options options = of_script();
    tr_bridge *bridge;

    write_script(text);
    assert_ok(tr_bridge_start(arena, &options, &bridge));
    return bridge;
}

/* What was written down by now. */
static const char *read_record(void)
{
    static char text[8192];
    FILE *file = fopen(record, "r");
    size_t got = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

    text[got] = 0;
    if (file)
        fclose(file);
    return text;
}

static void await_record(const char *part)
{
    while (!strstr(read_record(), part))
        sched_yield(); /* the test's time limit ends it */
}

static void expect_refused(const tr_bridge_options *options, const char *detail)
{
    tr_bridge *bridge;

    assert_int_equal(tr_bridge_start(arena, options, &bridge), TR_EINVAL);
    assert_detail(detail);
}

static void options_must_go_together(void **state)
{
    tr_bridge_options options = of_script();
    tr_arena *unnamed = make_arena(4, 0);
    tr_bridge *bridge;

    (void)state;
    assert_int_equal(tr_bridge_start(unnamed, &options, &bridge), TR_EINVAL);
    assert_detail("no name");
    tr_arena_close(unnamed);
    options.bind = "host:7411";
    expect_refused(&options, "not both");
    options.peer = NULL;
    expect_refused(&options, "goes allow");
    options.bind = NULL;
    expect_refused(&options, "one of them");
    options = of_script();
    options.key = NULL;
    expect_refused(&options, "key is NULL");
    options.flags = TR_BRIDGE_PLAIN_TRUST_NETWORK;
    expect_refused(&options, "no keys");
    options.flags = 1u << 31;
    expect_refused(&options, "0x80000000");
}

static void a_program_that_is_not_there(void **state)
{
    tr_bridge_options options = of_script();
    int before = descriptors();
    tr_bridge *bridge;

    (void)state;
    options.program = "/nowhere/tensoring-bridge";
    assert_int_equal(tr_bridge_start(arena, &options, &bridge), TR_ENOENT);
    assert_detail("/nowhere/tensoring-bridge");
    assert_int_equal(descriptors(), before);
}

static void expect_no_service(tr_bridge *bridge, const char *name,
                              tr_bridge_direction direction, unsigned on_cut, int code,
                              const char *detail)
{
    assert_int_equal(
        tr_bridge_service(bridge, name, direction, (tr_bridge_on_cut)on_cut, 0), code);
    assert_detail(detail);
}

static void it_is_told_what_to_bridge(void **state)
{
    tr_bridge *bridge = start_script("printf '%s\\n' \"$@\" >>${0%program}record\n"
                                     "exec cat >>${0%program}record");
    char expected[512];

    (void)state;
    assert_ok(tr_bridge_queue(bridge, "jobs", TR_BRIDGE_OUT, 0));
    assert_ok(tr_bridge_queue(bridge, "results: a", TR_BRIDGE_IN, 64));
    assert_ok(tr_bridge_board(bridge, "features", TR_BRIDGE_IN));
    assert_ok(tr_bridge_broadcast(bridge, "news", TR_BRIDGE_OUT));
    assert_ok(tr_bridge_service(bridge, "model", TR_BRIDGE_OUT, TR_BRIDGE_RETRY, 80));
    assert_ok(tr_bridge_service(bridge, "mod", TR_BRIDGE_OUT, TR_BRIDGE_FAIL, 0));
    assert_ok(tr_bridge_service(bridge, "own", TR_BRIDGE_IN, TR_BRIDGE_FAIL, 0));
    expect_no_service(bridge, "model", TR_BRIDGE_OUT, 0, TR_EEXIST, "already");
    expect_no_service(bridge, "c", TR_BRIDGE_IN, TR_BRIDGE_RETRY, TR_EINVAL,
                      "requesters");
    expect_no_service(bridge, "c", TR_BRIDGE_OUT, 2, TR_EINVAL, "2 is not");
    assert_int_equal(tr_bridge_queue(bridge, "jobs", TR_BRIDGE_IN, 0), TR_EEXIST);
    assert_int_equal(tr_bridge_board(bridge, "news", TR_BRIDGE_OUT), TR_EEXIST);
    assert_int_equal(tr_bridge_queue(bridge, "", TR_BRIDGE_IN, 0), TR_EINVAL);
    assert_int_equal(tr_bridge_queue(bridge, "a\nstop 0", TR_BRIDGE_IN, 0), TR_EINVAL);
    assert_int_equal(tr_bridge_queue(bridge, "b", (tr_bridge_direction)2, 0), TR_EINVAL);
    assert_int_equal(tr_bridge_queue(bridge, "b", TR_BRIDGE_IN, 1025), TR_EINVAL);
    assert_ok(tr_bridge_stop(bridge, INT64_C(60000000000)));
    snprintf(
        expected, sizeof(expected),
        "keep\nconnect\n--arena=%s\n--peer=host:7411\n--key=a.key\n--peer-key=b.pub\n"
        "--queue=out:jobs\n--window=64\n--queue=in:results: "
        "a\n--board=in:features\n--broadcast=out:news\n--window=80\n"
        "--service=out:model\n--on-cut=retry:model\n--service=out:mod\n"
        "--service=in:own\nstop 60000\n",
        NAME);
    assert_string_equal(strstr(read_record(), "keep\n"), expected);
    assert_ok(tr_bridge_stop(bridge, 0));
    assert_int_equal(tr_bridge_queue(bridge, "late", TR_BRIDGE_OUT, 0), TR_ECLOSED);
    assert_int_equal(tr_bridge_wait(bridge, TR_BRIDGE_CONNECTED, 0), TR_ECLOSED);
    tr_bridge_close(bridge);
}

static int first_pid(void)
{
    return atoi(strstr(read_record(), "pid ") + 4);
}

static void one_that_is_killed_is_started_again(void **state)
{
    tr_bridge *bridge = start_script("exec cat >>${0%program}record");
    tr_bridge_status status = TR_BRIDGE_STATUS_INIT;

    (void)state;
    assert_ok(tr_bridge_queue(bridge, "jobs", TR_BRIDGE_OUT, 8));
    await_record("--queue=out:jobs\n");
    assert_int_equal(kill(first_pid(), SIGKILL), 0);
    while (!strstr(strstr(read_record(), "pid ") + 4, "pid ")) {
        assert_ok(tr_bridge_status_read(bridge, &status));
        assert_int_equal(status.connected, 0);
    }
    assert_ok(tr_bridge_stop(bridge, INT64_C(60000000000)));
    tr_bridge_close(bridge);
    /* The second one was told the same. */
    assert_non_null(strstr(strstr(read_record(), "--window=8\n") + 1, "--window=8\n"));
    assert_non_null(
        strstr(strstr(read_record(), "--queue=out:jobs\n") + 1, "--queue=out:jobs\n"));
}

static void one_that_ends_is_not(void **state)
{
    tr_bridge *bridge = start_script("exit 64");

    (void)state;
    assert_int_equal(tr_bridge_wait(bridge, TR_BRIDGE_CONNECTED, INT64_C(60000000000)),
                     TR_EPEERDIED);
    assert_detail("code 64");
    assert_int_equal(tr_bridge_queue(bridge, "jobs", TR_BRIDGE_OUT, 0), TR_EPEERDIED);
    assert_ok(tr_bridge_stop(bridge, 0));
    tr_bridge_close(bridge);
}

static void waits_say_why(void **state)
{
    tr_bridge *bridge = start_script("exec cat >/dev/null");

    (void)state;
    assert_int_equal(tr_bridge_wait(bridge, TR_BRIDGE_CONNECTED, TR_NOWAIT), TR_EAGAIN);
    assert_detail("nothing to bridge");
    assert_ok(tr_bridge_queue(bridge, "jobs", TR_BRIDGE_OUT, 0));
    assert_int_equal(tr_bridge_wait(bridge, TR_BRIDGE_CONNECTED, 1000000), TR_ETIMEDOUT);
    assert_detail("not begun");
    assert_int_equal(tr_bridge_wait(bridge, (tr_bridge_state)1, 0), TR_EINVAL);
    tr_bridge_close(bridge);
}

static void one_that_does_not_stop_is_killed(void **state)
{
    tr_bridge *bridge = start_script("exec tail -f /dev/null");
    int pid;

    (void)state;
    await_record("pid ");
    pid = first_pid();
    assert_int_equal(tr_bridge_stop(bridge, 1000000), TR_ETIMEDOUT);
    assert_int_equal(kill(pid, 0), -1); /* it was waited for, too */
    tr_bridge_close(bridge);
}

static void a_child_leaves_it_alone(void **state)
{
    tr_bridge *bridge = start_script("exec cat >/dev/null");
    pid_t child;

    (void)state;
    await_record("pid ");
    child = fork();
    if (child == 0) {
        int failed = tr_bridge_queue(bridge, "jobs", TR_BRIDGE_OUT, 0) != TR_EFORK ||
                     tr_bridge_stop(bridge, 0) != TR_EFORK;

        tr_bridge_close(bridge);
        _exit(failed);
    }
    assert_int_equal(status_of(child), 0);
    assert_int_equal(kill(first_pid(), 0), 0);
    assert_ok(tr_bridge_stop(bridge, INT64_C(60000000000)));
    tr_bridge_close(bridge);
}

#define test(function) cmocka_unit_test_setup_teardown(function, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(options_must_go_together),
        test(a_program_that_is_not_there),
        test(it_is_told_what_to_bridge),
        test(one_that_is_killed_is_started_again),
        test(one_that_ends_is_not),
        test(waits_say_why),
        test(one_that_does_not_stop_is_killed),
        test(a_child_leaves_it_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
