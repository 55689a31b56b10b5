/* SPDX-License-Identifier: MIT */
/* start_test.c - bridges that this process starts, over loopback, between two arenas of its own. */
#include "tests/unit/own_name.h"
#include "tests/unit/support.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#define PATIENT INT64_C(60000000000)

struct side {
    char name[80];
    tr_arena *arena;
    tr_queue *queue;
    tr_bridge *bridge;
};

static struct side here, there;

static void open_side(struct side *side, const char *name)
{
    tr_slot_class class = {8192, 64};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_queue_options queue = TR_QUEUE_OPTIONS_INIT;

    snprintf(side->name, sizeof(side->name), "%s%s", NAME, name);
    options.classes = &class;
    options.class_count = 1;
    assert_ok(tr_arena_create(side->name, &options, &side->arena));
    queue.max_deliveries = 255;
    assert_ok(tr_queue_open(side->arena, "jobs", &queue, &side->queue));
}

static void close_side(struct side *side)
{
    tr_bridge_close(side->bridge);
    tr_queue_close(side->queue);
    tr_arena_close(side->arena);
    assert_ok(tr_arena_unlink(side->name));
    side->bridge = NULL;
}

static int open_all(void **state)
{
    (void)state;
    open_side(&here, "here");
    open_side(&there, "there");
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    close_side(&here);
    close_side(&there);
    return 0;
}

static void start_empty(struct side *side, const char *peer)
{
    tr_bridge_options options = TR_BRIDGE_OPTIONS_INIT;

    options.flags = TR_BRIDGE_PLAIN_TRUST_NETWORK;
    options.peer = peer;
    options.bind = peer ? NULL : "127.0.0.1:0";
    options.program = TENSORING_BRIDGE;
    assert_ok(tr_bridge_start(side->arena, &options, &side->bridge));
}

static void start(struct side *side, const char *peer, tr_bridge_direction direction)
{
    start_empty(side, peer);
    assert_ok(tr_bridge_queue(side->bridge, "jobs", direction, 8));
}

static tr_bridge_status status(struct side *side)
{
    tr_bridge_status status = TR_BRIDGE_STATUS_INIT;

    assert_ok(tr_bridge_status_read(side->bridge, &status));
    return status;
}

static void pause_shortly(void)
{
    sched_yield(); /* the test's time limit ends it */
}

/* The port is the kernel's choice. */
static void await_endpoint(struct side *side, char endpoint[128])
{
    while (!*strcpy(endpoint, status(side).endpoint))
        pause_shortly();
}

/* Two bridges that are connected. */
static void connect_both(void)
{
    char endpoint[128];

    start(&there, NULL, TR_BRIDGE_IN);
    assert_ok(tr_bridge_queue(there.bridge, "more", TR_BRIDGE_OUT, 4));
    await_endpoint(&there, endpoint);
    start(&here, endpoint, TR_BRIDGE_OUT);
    assert_ok(tr_bridge_wait(here.bridge, TR_BRIDGE_CONNECTED, PATIENT));
    assert_ok(tr_bridge_wait(there.bridge, TR_BRIDGE_CONNECTED, PATIENT));
}

static void carry(int64_t first, int64_t count)
{
    for (int64_t i = first; i < first + count; i++)
        assert_ok(tr_queue_send(here.queue, loan_i64(here.arena, 8, i), PATIENT));
    for (int64_t i = first; i < first + count; i++) {
        tr_message *message;

        assert_ok(tr_queue_receive(there.queue, PATIENT, &message));
        assert_int_equal(first_i64(message), i);
        tr_message_release(message);
    }
}

static void messages_cross(void **state)
{
    (void)state;
    connect_both();
    carry(0, 20);
    while (status(&here).confirmed < 20 || status(&there).published < 20)
        pause_shortly();
    assert_int_equal(status(&here).in_flight, 0);
    assert_int_equal(status(&there).doubled, 0);
    assert_string_equal(status(&here).why, "");
    assert_ok(tr_bridge_stop(here.bridge, PATIENT));
    assert_ok(tr_bridge_stop(there.bridge, PATIENT));
}

static void await_another(struct side *side, int pid)
{
    while (status(side).pid == pid || !status(side).pid)
        pause_shortly();
}

static void a_bridge_that_is_killed_comes_again(void **state)
{
    int pid;

    (void)state;
    connect_both();
    pid = status(&here).pid;
    assert_int_equal(kill(pid, SIGKILL), 0);
    await_another(&here, pid);
    assert_ok(tr_bridge_wait(here.bridge, TR_BRIDGE_CONNECTED, PATIENT));
    carry(0, 4);
}

static tr_origin origin_of(const tr_message *message)
{
    tr_origin origin = TR_ORIGIN_INIT;

    assert_ok(tr_message_origin_get(message, &origin));
    return origin;
}

/* It says where a message was sent first, also after a second bridge. */
static void an_origin_travels(void **state)
{
    tr_queue *back, *back_there;
    tr_message *message;
    tr_origin origin, after;

    (void)state;
    connect_both();
    assert_ok(tr_bridge_queue(here.bridge, "more", TR_BRIDGE_IN, 4));
    assert_ok(tr_queue_open(here.arena, "more", NULL, &back));
    assert_ok(tr_queue_open(there.arena, "more", NULL, &back_there));
    for (uint64_t i = 0; i < 3; i++) {
        assert_ok(tr_queue_send(here.queue, loan_i64(here.arena, 8, 7), PATIENT));
        assert_ok(tr_queue_receive(there.queue, PATIENT, &message));
        origin = origin_of(message);
        assert_int_equal(origin.number, i);
        assert_ok(tr_queue_send(back_there, message, PATIENT));
        assert_ok(tr_queue_receive(back, PATIENT, &message));
        after = origin_of(message);
        assert_memory_equal(&origin, &after, sizeof(origin));
        tr_message_release(message);
    }
    tr_queue_close(back);
    tr_queue_close(back_there);
}

/* The state of a process, Z if it is gone, and its parent. */
static char look_at(int pid, int *parent)
{
    char path[32], text[512] = "", *end, state = 'Z';
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "r");
    if (!file)
        return 'Z';
    end = fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
    fclose(file);
    assert_true(!end || sscanf(end + 1, " %c %d", &state, parent) == 2);
    return state;
}

static void kill_keeper(struct side *side)
{
    siginfo_t info;
    int keeper = 0;

    assert_int_not_equal(look_at(status(side).pid, &keeper), 'Z');
    assert_int_equal(kill(keeper, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)keeper, &info, WEXITED | WNOWAIT), 0);
}

static void a_bridge_goes_on_without_its_keeper(void **state)
{
    int pid, parent;

    (void)state;
    connect_both();
    carry(0, 4);
    pid = status(&here).pid;
    kill_keeper(&here);
    kill_keeper(&there);
    carry(4, 40); /* more than a window */
    await_another(&here, pid);
    assert_ok(tr_bridge_wait(here.bridge, TR_BRIDGE_CONNECTED, PATIENT));
    carry(44, 4);
    pid = status(&here).pid;
    kill_keeper(&here);
    assert_ok(tr_bridge_stop(here.bridge, PATIENT)); /* of the bridge that is alone */
    while (look_at(pid, &parent) != 'Z')
        pause_shortly();
}

static void a_queue_is_added_while_messages_cross(void **state)
{
    tr_queue *more, *more_there;
    tr_message *message;

    (void)state;
    connect_both();
    carry(0, 4);
    assert_ok(tr_bridge_queue(here.bridge, "more", TR_BRIDGE_IN, 4));
    carry(4, 4);
    assert_ok(tr_queue_open(here.arena, "more", NULL, &more));
    assert_ok(tr_queue_open(there.arena, "more", NULL, &more_there));
    assert_ok(tr_queue_send(more_there, loan_i64(there.arena, 8, 77), PATIENT));
    assert_ok(tr_queue_receive(more, PATIENT, &message));
    assert_int_equal(first_i64(message), 77);
    tr_message_release(message);
    tr_queue_close(more);
    tr_queue_close(more_there);
}

static void what_is_not_confirmed_stays(void **state)
{
    tr_message *message;

    (void)state;
    start(&here, "127.0.0.1:1", TR_BRIDGE_OUT);
    assert_ok(tr_queue_send(here.queue, loan_i64(here.arena, 8, 5), PATIENT));
    while (!*status(&here).why)
        pause_shortly();
    assert_int_equal(tr_bridge_wait(here.bridge, TR_BRIDGE_CONNECTED, 1), TR_ETIMEDOUT);
    assert_detail("nothing listens there");
    assert_ok(tr_bridge_stop(here.bridge, PATIENT));
    assert_ok(tr_queue_receive(here.queue, PATIENT, &message));
    assert_int_equal(first_i64(message), 5);
    tr_message_release(message);
}

/* Servers are there, and their bridge connects: it finds the other one again if it is killed. */
static void connect_services(tr_bridge_on_cut on_cut)
{
    char endpoint[128];

    start_empty(&here, NULL);
    assert_ok(tr_bridge_service(here.bridge, "model", TR_BRIDGE_OUT, on_cut, 8));
    await_endpoint(&here, endpoint);
    start_empty(&there, endpoint);
    assert_ok(tr_bridge_service(there.bridge, "model", TR_BRIDGE_IN, TR_BRIDGE_FAIL, 8));
    assert_ok(tr_bridge_wait(there.bridge, TR_BRIDGE_CONNECTED, PATIENT));
}

struct service {
    tr_queue *asks, *serves;
    uint64_t ticket;
    tr_message *request; /* in the server's hand */
};

static void ask(struct service *service, int64_t number)
{
    assert_ok(tr_request_send(service->asks, loan_i64(here.arena, 8, number), PATIENT,
                              PATIENT, TR_REQUEST_BY_TICKET, &service->ticket));
    assert_ok(tr_queue_receive(service->serves, PATIENT, &service->request));
    assert_int_equal(first_i64(service->request), number);
}

static void expect_answer(const struct service *service, int64_t number)
{
    tr_message *reply;

    assert_ok(tr_request_wait(here.arena, service->ticket, PATIENT, &reply));
    assert_int_equal(first_i64(reply), number);
    tr_message_release(reply);
}

static void open_service(struct service *service, tr_bridge_on_cut on_cut)
{
    int pid;

    *service = (struct service){0};
    assert_ok(tr_queue_open(here.arena, "model", NULL, &service->asks));
    assert_ok(tr_queue_open(there.arena, "model", NULL, &service->serves));
    connect_services(on_cut);
    ask(service, 3);
    assert_ok(tr_request_reply(service->request, loan_i64(there.arena, 8, 33)));
    expect_answer(service, 33);
    ask(service, 4); /* and while the server has it: */
    pid = status(&there).pid;
    assert_true(pid > 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
}

static void close_service(const struct service *service)
{
    tr_queue_close(service->asks);
    tr_queue_close(service->serves);
}

static void requests_fail_if_the_link_is_cut(void **state)
{
    struct service service;
    tr_message *reply;

    (void)state;
    open_service(&service, TR_BRIDGE_FAIL);
    assert_int_equal(tr_request_wait(here.arena, service.ticket, PATIENT, &reply),
                     TR_EREMOTE);
    assert_int_equal(tr_error_remote_code(), TR_EPEERDIED);
    assert_detail("may have run");
    tr_message_release(service.request);
    close_service(&service);
}

static void requests_are_sent_again_if_that_is_asked_for(void **state)
{
    struct service service;
    tr_message *first;
    tr_origin origin, again;

    (void)state;
    open_service(&service, TR_BRIDGE_RETRY);
    first = service.request;
    origin = origin_of(first);
    assert_ok(tr_queue_receive(service.serves, PATIENT, &service.request));
    assert_int_equal(first_i64(service.request), 4);
    again = origin_of(service.request);
    assert_memory_equal(&origin, &again, sizeof(origin));
    assert_ok(tr_request_reply(service.request, loan_i64(there.arena, 8, 44)));
    tr_message_release(first); /* nobody waits for that any more */
    expect_answer(&service, 44);
    close_service(&service);
}

#define test(function) cmocka_unit_test_setup_teardown(function, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(messages_cross),
        test(a_bridge_that_is_killed_comes_again),
        test(a_bridge_goes_on_without_its_keeper),
        test(a_queue_is_added_while_messages_cross),
        test(an_origin_travels),
        test(what_is_not_confirmed_stays),
        test(requests_fail_if_the_link_is_cut),
        test(requests_are_sent_again_if_that_is_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
