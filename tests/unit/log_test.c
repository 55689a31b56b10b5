/* SPDX-License-Identifier: MIT */
/* What tr_log_set() tells a program, its version, and the name of its arena. */
#include "tests/unit/broadcast_scene.h"
#include "tests/unit/own_name.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "ipc/event.h"
#include "ipc/view.h"
#include "src/arena/arena.h"

#define LAST TR_LOG_EVICT

struct heard {
    unsigned count[LAST + 1];
    uint64_t last_count;
    char arena[64], text[256];
};

static void note(const tr_log_event *event, void *context)
{
    struct heard *heard = context;

    assert_int_equal(event->struct_size, sizeof(*event));
    assert_in_range(event->kind, TR_LOG_REAP, LAST);
    heard->count[event->kind]++;
    heard->last_count = event->count;
    snprintf(heard->arena, sizeof(heard->arena), "%s", event->arena);
    snprintf(heard->text, sizeof(heard->text), "%s", event->text);
    errno = ENOTTY;
}

static int stop_hearing(void **state)
{
    (void)state;
    tr_log_set(NULL, NULL);
    (void)!tr_arena_unlink(NAME);
    return 0;
}

static tr_queue *open_queue(tr_arena *arena, uint32_t policy)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_queue *queue;

    options.policy = policy;
    assert_ok(tr_queue_open(arena, "q", &options, &queue));
    return queue;
}

/* A child that takes a message and dies with it. */
static void die_with_one(tr_arena *arena, tr_queue *queue)
{
    pid_t child;

    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 1), TR_NOWAIT));
    child = fork();
    if (child == 0) {
        tr_message *message;

        if (tr_queue_receive(queue, TR_NOWAIT, &message) == 0)
            raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(status_of(child), SIGKILL);
}

static void tells_of_a_reap(void **state)
{
    struct heard heard = {{0}, 0, "", ""};
    tr_queue *queue;
    tr_arena *arena;
    (void)state;

    assert_ok(tr_arena_create(NAME, NULL, &arena));
    queue = open_queue(arena, TR_QUEUE_REDELIVER);
    tr_log_set(note, &heard);
    die_with_one(arena, queue);
    errno = 0;
    assert_ok(tr_arena_reap(arena, NULL));
    assert_int_equal(errno, 0);
    assert_int_equal(heard.count[TR_LOG_REAP], 1);
    assert_int_equal(heard.count[TR_LOG_DROP], 0);
    assert_int_equal(heard.last_count, 1);
    assert_string_equal(heard.arena, NAME);
    assert_non_null(strstr(heard.text, "1 messages are delivered again"));
    assert_ok(tr_arena_reap(arena, NULL)); /* nothing to tell */
    assert_int_equal(heard.count[TR_LOG_REAP], 1);
    tr_arena_close(arena);
    tr_queue_close(queue);
}

static void tells_of_what_is_given_up(void **state)
{
    struct heard heard = {{0}, 0, "", ""};
    tr_arena *arena = make_arena(8, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_DROP);
    (void)state;

    tr_log_set(note, &heard);
    die_with_one(arena, queue);
    assert_ok(tr_arena_reap(arena, NULL));
    assert_int_equal(heard.count[TR_LOG_REAP], 1);
    assert_int_equal(heard.count[TR_LOG_DROP], 1);
    assert_int_equal(heard.last_count, 1);
    assert_string_equal(heard.arena, "");
    die_with_one(arena, queue);
    tr_log_set(NULL, NULL); /* no longer */
    assert_ok(tr_arena_reap(arena, NULL));
    assert_int_equal(heard.count[TR_LOG_REAP], 1);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void tells_of_corruption(void **state)
{
    struct heard heard = {{0}, 0, "", ""};
    tr_arena *arena = make_arena(4, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_DROP);
    const struct view *view = &arena_known(arena)->view;
    tr_message *message;
    (void)state;

    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 1), TR_NOWAIT));
    for (uint32_t slot = 0; slot < 4; slot++)
        shm_put(&view_record(view, slot)->tensors, UINT64_MAX);
    tr_log_set(note, &heard);
    assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &message), TR_ECORRUPT);
    assert_int_equal(heard.count[TR_LOG_CORRUPT], 1);
    assert_int_equal(stats_of(arena).corrupt, 1);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void tells_of_a_fallback(void **state)
{
    struct heard heard = {{0}, 0, "", ""};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_arena *arena;
    (void)state;

    options.flags = TR_ARENA_HUGE;
    tr_log_set(note, &heard);
    assert_ok(tr_arena_create(NULL, &options, &arena));
    assert_ok(tr_arena_info_get(arena, &info));
    assert_int_equal(heard.count[TR_LOG_FALLBACK], info.huge_error ? 1 : 0);
    tr_arena_close(arena);
}

/* @p count messages to everybody. */
static void publish(tr_arena *arena, tr_broadcast *broadcast, int count)
{
    for (int i = 0; i < count; i++)
        assert_ok(tr_broadcast_publish(broadcast, loan_i64(arena, 1, i), TR_NOWAIT));
}

static void tells_of_slow_subscribers(void **state)
{
    static const struct {
        tr_lag lag;
        int result;
        tr_log_kind kind;
        const char *text;
    } cases[] = {
        {TR_LAG_DROP_OLDEST, TR_ELAGGED, TR_LOG_LAG, "missed 2 messages"},
        {TR_LAG_EVICT, TR_EEVICTED, TR_LOG_EVICT, "missed 2 messages and is out"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct heard heard = {{0}, 0, "", ""};
        tr_arena *arena = make_arena(16, 0);
        tr_broadcast *broadcast = open_broadcast(arena, 3, 1);
        tr_subscription *slow = subscribe(broadcast, cases[i].lag, 0);
        tr_message *message;

        tr_log_set(note, &heard);
        publish(arena, broadcast, 6); /* a ring of 4 */
        assert_int_equal(tr_subscription_receive(slow, TR_NOWAIT, &message),
                         cases[i].result);
        assert_int_equal(heard.count[cases[i].kind], 1);
        assert_int_equal(heard.count[TR_LOG_LAG] + heard.count[TR_LOG_EVICT], 1);
        assert_int_equal(heard.last_count, 2);
        assert_non_null(strstr(heard.text, cases[i].text));
        tr_subscription_close(slow);
        tr_broadcast_close(broadcast);
        tr_arena_close(arena);
    }
}

/* A loan that finds no free slot takes the oldest message that nobody has read. */
static void tells_of_messages_whose_slot_is_needed(void **state)
{
    struct heard heard = {{0}, 0, "", ""};
    tr_arena *arena = make_arena(4, 0);
    tr_broadcast *broadcast = open_broadcast(arena, 63, 1);
    tr_subscription *slow = subscribe(broadcast, TR_LAG_DROP_OLDEST, 0);
    (void)state;

    tr_log_set(note, &heard);
    publish(arena, broadcast, 4);
    assert_int_equal(heard.count[TR_LOG_DROP], 0);
    publish(arena, broadcast, 1);
    assert_int_equal(heard.count[TR_LOG_DROP], 1);
    assert_int_equal(heard.last_count, 1);
    tr_subscription_close(slow);
    tr_broadcast_close(broadcast);
    tr_arena_close(arena);
}

static void says_nothing_of_what_goes_well(void **state)
{
    struct heard heard = {{0}, 0, "", ""};
    tr_arena *arena = make_arena(4, 0);
    tr_queue *queue = open_queue(arena, TR_QUEUE_DROP);
    (void)state;

    tr_log_set(note, &heard);
    for (int i = 0; i < 1000; i++) {
        tr_message *message;

        assert_ok(tr_queue_send(queue, loan_i64(arena, 1, i), TR_NOWAIT));
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
        tr_message_release(message);
    }
    for (size_t i = 0; i <= LAST; i++)
        assert_int_equal(heard.count[i], 0);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

/* A child that attaches, and dies. */
static void attach_and_die(void)
{
    pid_t child = fork();

    if (child == 0) {
        tr_arena *arena;

        if (tr_arena_attach(NAME, NULL, &arena) == 0)
            raise(SIGKILL);
        _exit(1);
    }
    assert_int_equal(status_of(child), SIGKILL);
}

/* One that takes the entry of a dead one tells so before it has its handle. */
static void names_the_arena_while_it_attaches(void **state)
{
    struct heard heard = {{0}, 0, "", ""};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *made, *attached;
    (void)state;

    options.max_participants = 2;
    assert_ok(tr_arena_create(NAME, &options, &made));
    attach_and_die();
    tr_log_set(note, &heard);
    assert_ok(tr_arena_attach(NAME, NULL, &attached));
    assert_int_equal(heard.count[TR_LOG_REAP], 1);
    assert_string_equal(heard.arena, NAME);
    tr_arena_close(attached);
    tr_arena_close(made);
}

#define REPLACEMENTS 300000

static int first_context, second_context;
static _Atomic uint64_t told, misled;
static _Atomic bool done;

static void first(const tr_log_event *event, void *context)
{
    (void)event;
    told++;
    misled += context != &first_context;
}

static void second(const tr_log_event *event, void *context)
{
    (void)event;
    told++;
    misled += context != &second_context;
}

static void *tell_all_the_time(void *view)
{
    while (!done)
        event_tell(view, EVENT_CORRUPT, 1, "text");
    return NULL;
}

/* A callback is called with its own context, also where it is replaced meanwhile. */
static void callbacks_have_their_own_contexts(void **state)
{
    struct view view = {.name = ""};
    pthread_t thread;
    (void)state;

    told = misled = 0;
    done = false;
    assert_int_equal(pthread_create(&thread, NULL, tell_all_the_time, &view), 0);
    for (unsigned i = 0; i < REPLACEMENTS || told < 1000; i++) {
        tr_log_set(first, &first_context);
        tr_log_set(second, &second_context);
    }
    done = true;
    pthread_join(thread, NULL);
    assert_int_equal(misled, 0);
}

static void arenas_have_names(void **state)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_arena *made, *attached, *by_descriptor;
    (void)state;

    assert_ok(tr_arena_create(NAME, NULL, &made));
    assert_ok(tr_arena_attach(NAME, NULL, &attached));
    assert_ok(tr_arena_info_get(made, &info));
    assert_ok(tr_arena_attach_fd(info.fd, &by_descriptor));
    assert_string_equal(tr_arena_name(made), NAME);
    assert_string_equal(tr_arena_name(attached), NAME);
    assert_string_equal(tr_arena_name(by_descriptor), "");
    tr_arena_close(by_descriptor);
    tr_arena_close(attached);
    tr_arena_close(made);
}

static void versions_are_compared(void **state)
{
    char text[32];
    (void)state;

    assert_ok(TR_VERSION_CHECK());
    assert_int_equal(tr_version(), TR_VERSION);
    snprintf(text, sizeof(text), "%d.%d.%d", TR_VERSION_MAJOR, TR_VERSION_MINOR,
             TR_VERSION_PATCH);
    assert_string_equal(tr_version_text(), text);
    assert_ok(tr_version_check(TR_VERSION + 1)); /* another patch */
    assert_int_equal(tr_version_check(TR_VERSION + 1000), TR_ENOTSUP);
    assert_detail(text);
    assert_int_equal(tr_version_check(TR_VERSION + 1000000), TR_ENOTSUP);
    if (TR_VERSION_MAJOR == 0)
        assert_int_equal(tr_version_check(TR_VERSION - 1000), TR_ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(tells_of_a_reap, stop_hearing),
        cmocka_unit_test_teardown(tells_of_what_is_given_up, stop_hearing),
        cmocka_unit_test_teardown(tells_of_corruption, stop_hearing),
        cmocka_unit_test_teardown(tells_of_a_fallback, stop_hearing),
        cmocka_unit_test_teardown(tells_of_slow_subscribers, stop_hearing),
        cmocka_unit_test_teardown(tells_of_messages_whose_slot_is_needed, stop_hearing),
        cmocka_unit_test_teardown(says_nothing_of_what_goes_well, stop_hearing),
        cmocka_unit_test_teardown(names_the_arena_while_it_attaches, stop_hearing),
        cmocka_unit_test_teardown(callbacks_have_their_own_contexts, stop_hearing),
        cmocka_unit_test_teardown(arenas_have_names, stop_hearing),
        cmocka_unit_test(versions_are_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
