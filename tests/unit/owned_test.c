/* SPDX-License-Identifier: MIT */
/* Test builds end a process that is about to write into what is not its own; a release does not
 * look. */
#include "tests/unit/broadcast_scene.h"

#include <signal.h>
#include <stdlib.h>

#include "ipc/exchange/owned.h"
#include "src/channel/broadcast.h"
#include "src/channel/queue.h"
#include "src/message/message.h"

static tr_arena *arena;
static tr_queue *queue;
static struct message *message;

static struct slot_record *record(void)
{
    return view_record(&arena_known(arena)->view, message->slot);
}

/* Another participant has it, in the same state. */
static void give_away(void)
{
    uint64_t word = shm_get(&record()->owner);

    shm_put(&record()->owner,
            slot_word(SLOT_STATE(word), SLOT_WHO(word) + 1, SLOT_INC(word),
                      SLOT_DELIVERIES(word), SLOT_GENERATION(word)));
}

static void do_free(void)
{
    give_away();
    slot_free(&arena_known(arena)->self, message->slot);
}

static void do_put(void)
{
    give_away();
    (void)!ring_put(&queue_known(queue)->ring, &arena_known(arena)->self, message->slot);
}

/* It is taken away while we find that there is no room. */
static void take_away(const char *site, const void *at, enum shm_kind kind)
{
    (void)site;
    (void)at;
    (void)kind;
    if (SLOT_STATE(shm_get(&record()->owner)) == SLOT_QUEUED)
        give_away();
}

static void do_step_back(void)
{
    while (ring_put(&queue_known(queue)->ring, &arena_known(arena)->self,
                    message->slot) == 0)
        message = message_known(loan_i64(arena, 1, 0));
    shm_step_hook = take_away;
    (void)!ring_put(&queue_known(queue)->ring, &arena_known(arena)->self, message->slot);
}

static void do_share(void)
{
    struct putting putting;

    give_away();
    shared_begin(&arena_known(arena)->self, message->slot, &putting);
}

static void do_aim(void)
{
    struct putting putting;

    shared_begin(&arena_known(arena)->self, message->slot, &putting);
    give_away();
    shared_set_target(&arena_known(arena)->self, &putting, 0, 0);
}

static void do_undo(void)
{
    struct putting putting;

    shared_begin(&arena_known(arena)->self, message->slot, &putting);
    give_away();
    shared_undo(&arena_known(arena)->self, &putting);
}

static void do_head(void)
{
    give_away();
    message_begin_head(message);
}

static void do_stamp(void)
{
    give_away();
    message_stamp(message, false);
}

static void do_content(void)
{
    give_away();
    message_set_content(message, TR_CONTENT_OCTETS);
}

static void do_describe(void)
{
    int64_t count = 2;
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_INT, 32, 1}, .ndim = 1, .shape = &count};

    give_away();
    (void)!message_respec(message, &spec, 1);
}

static void do_set_header(void)
{
    tr_header header = TR_HEADER_INIT;

    assert_ok(tr_message_header_set(message_handle(message), &header)); /* has its flag */
    give_away();
    (void)!tr_message_header_set(message_handle(message), &header);
}

static void do_device(void)
{
    give_away();
    (void)!tr_message_device_begin(message_handle(message));
}

/* The place of a subscriber becomes that of another participant. */
static void give_place_away(tr_subscription *subscription)
{
    const struct broadcast *ring = &subscription_known(subscription)->broadcast.ring;

    for (uint32_t i = 0; i < ring->place_count; i++)
        shm_put(&ring->places[i].word, shm_get(&ring->places[i].word) ^ 1 << 4);
}

/* One that has missed a message. */
static tr_subscription *subscribe_and_miss(tr_lag lag)
{
    tr_broadcast *broadcast = open_broadcast(arena, 1, 1);
    tr_subscription *subscription = subscribe(broadcast, lag, 0);

    for (int i = 0; i < 3; i++)
        assert_ok(tr_broadcast_publish(broadcast, loan_i64(arena, 1, i), TR_NOWAIT));
    return subscription;
}

static void do_unsubscribe(void)
{
    tr_subscription *subscription = subscribe_and_miss(TR_LAG_DROP_OLDEST);

    give_place_away(subscription);
    tr_subscription_close(subscription);
}

static void do_be_evicted(void)
{
    tr_subscription *subscription = subscribe_and_miss(TR_LAG_EVICT);
    tr_message *got;

    give_place_away(subscription);
    (void)!tr_subscription_receive(subscription, TR_NOWAIT, &got);
}

/* A channel that is being made becomes that of another maker. */
static void take_channel(const char *site, const void *at, enum shm_kind kind)
{
    struct view *view = &arena_known(arena)->view;
    (void)site;
    (void)at;
    (void)kind;

    for (uint32_t i = 0; i < view->geo.channel_count; i++) {
        _Atomic uint64_t *word = &view_channel(view, i)->word;

        if (CHANNEL_STATE(shm_get(word)) != CHANNEL_MAKING)
            continue;
        shm_put(word, shm_get(word) ^ 1 << 5);
        shm_step_hook = NULL;
    }
}

static void do_make(void)
{
    shm_step_hook = take_channel;
    (void)!tr_queue_open(arena, "other", NULL, &queue);
}

static void send(void)
{
    (void)!queue_send(queue_known(queue), message_handle(message), TR_NOWAIT);
}

/* Another thread, which has looked at the handle before, sends the message while we do. */
static void send_too(const char *site, const void *at, enum shm_kind kind)
{
    (void)site;
    (void)at;
    (void)kind;
    if (message_known(message_handle(message)))
        return;
    shm_step_hook = NULL;
    send();
}

static void do_send_twice(void)
{
    shm_step_hook = send_too;
    send();
}

/* Act in a process of its own. How it ends, and what it printed. */
static int status_and_text(void (*act)(void), char told[512])
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    int ends[2];
    ssize_t got = 0, n;
    pid_t child;

    options.capacity = 2;
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        signal(SIGABRT, SIG_DFL); /* cmocka's */
        arena = make_arena(8, 0);
        assert_ok(tr_queue_open(arena, "q", &options, &queue));
        message = message_known(loan_i64(arena, 1, 0));
        act();
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], told + got, 511 - (size_t)got)) > 0)
        got += n;
    close(ends[0]);
    told[got] = 0;
    return status_of(child);
}

static void expect_end(void (*act)(void), const char *why)
{
    char told[512];
    int status = status_and_text(act, told);

#ifdef TR_ASSERTS
    assert_int_equal(status & 0x7f, SIGABRT);
    if (!strstr(told, why))
        fail_msg("\"%s\" is not in: %s", why, told);
#else
    (void)why;
    assert_int_equal(status, 0);
    assert_string_equal(told, "");
#endif
}

static void it_ends_before_it_writes(void **state)
{
    static const struct {
        void (*act)(void);
        const char *location;
    } cases[] = {
        {do_free, "ipc/exchange/slot.c:"},
        {do_put, "ipc/exchange/ring.c:"},
        {do_step_back, "ipc/exchange/ring.c:"},
        {do_share, "ipc/exchange/shared.c:"},
        {do_aim, "ipc/exchange/shared.c:"},
        {do_undo, "ipc/exchange/shared.c:"},
        {do_head, "src/message/message.c:"},
        {do_stamp, "src/message/message.h:"},
        {do_content, "src/message/message.c:"},
        {do_describe, "src/message/loan.c:"},
        {do_set_header, "src/message/message.c:"},
        {do_device, "src/message/device.c:"},
        {do_unsubscribe, "ipc/exchange/broadcast.c:"},
        {do_be_evicted, "ipc/exchange/broadcast.c:"},
        {do_make, "ipc/exchange/channel.c:"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_end(cases[i].act, cases[i].location);
    expect_end(do_free, "slot 0 is loaned, by participant 1 (incarnation 1): "
                        "participant 0 (incarnation 1) would write into what is not "
                        "its own");
    expect_end(do_make, "the channel that is being made belongs to another participant");
    expect_end(do_send_twice, "slot 0 is handed on by another thread, too");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_ends_before_it_writes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
