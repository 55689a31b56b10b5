/* SPDX-License-Identifier: MIT */
/* A process that others took for dead, and that knows it: others own what it held. */
#include "support.h"

#include <tensoring/device.h>

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "src/arena/arena.h"

enum { SLOTS = 2 };

static tr_arena *arena, *lost;
static tr_queue *queue, *lost_queue;

static bool condemn(const struct view *view, uint32_t i)
{
    (void)view;
    return i == arena_known(lost)->self.who;
}

/* It is reaped, although it lives, and finds out. */
static void lose(void)
{
    static struct hooks fake;
    tr_reap_report report = TR_REAP_REPORT_INIT;

    fake = hooks_real;
    fake.dead = condemn;
    hooks = &fake;
    assert_ok(tr_arena_reap(arena, &report));
    hooks = &hooks_real;
    assert_int_equal(report.dead, 1);
    assert_int_equal(tr_arena_reap(lost, NULL), TR_EABANDONED);
}

static int set_up(void **state)
{
    (void)state;
    arena = make_arena(SLOTS, 0);
    return tr_arena_attach_fd(arena_known(arena)->view.lock_fd, &lost) ||
           tr_queue_open(arena, "work", NULL, &queue) ||
           tr_queue_open(lost, "work", NULL, &lost_queue);
}

static int tear_down(void **state)
{
    (void)state;
    hooks = &hooks_real;
    tr_arena_close(lost);
    tr_arena_close(arena);
    return 0;
}

static void leaves_a_request_to_the_next_server(void **state)
{
    tr_message *had, *has, *reply;
    uint64_t ticket;
    (void)state;

    assert_ok(tr_request_send(queue, loan_i64(arena, 4, 1), TR_FOREVER, TR_FOREVER, 0,
                              &ticket));
    assert_ok(tr_queue_receive(lost_queue, TR_NOWAIT, &had));
    lose();
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &has));
    assert_int_not_equal(tr_message_release(had), 0);
    assert_int_equal(tr_request_wait(arena, ticket, TR_NOWAIT, &reply), TR_EAGAIN);
    assert_int_equal(first_i64(has), 1);
    assert_ok(tr_request_reply(has, NULL));
    assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
    assert_int_equal(first_i64(reply), 1);
    assert_ok(tr_message_release(reply));
}

static void writes_into_no_header(void **state)
{
    tr_header header = TR_HEADER_INIT;
    tr_message *had = loan_i64(lost, 4, 1), *all[SLOTS];
    (void)state;

    lose();
    for (int i = 0; i < SLOTS; i++) {
        all[i] = loan_i64(arena, 4, 2);
        header.correlation_id = 7;
        assert_ok(tr_message_header_set(all[i], &header));
    }
    header.correlation_id = 9;
    assert_int_equal(tr_message_header_set(had, &header), TR_EABANDONED);
    assert_int_equal(tr_message_seal(had), TR_EABANDONED);
    assert_int_equal(tr_message_device_begin(had), TR_EABANDONED);
    assert_int_equal(tr_message_device_end(had), TR_EABANDONED);
    assert_int_not_equal(tr_message_release(had), 0);
    for (int i = 0; i < SLOTS; i++) {
        assert_ok(tr_message_header_get(all[i], &header));
        assert_int_equal(header.correlation_id, 7);
        assert_int_equal(header.has_crc, 0);
        assert_int_equal(tr_message_device_end(all[i]), TR_EINVAL); /* not marked */
        assert_ok(tr_message_release(all[i]));
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(leaves_a_request_to_the_next_server),
        CASE(writes_into_no_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
