/* SPDX-License-Identifier: MIT */
/* Handles that have ended: sent, released, closed, copied over a fork. */
#include "handle_scene.h"
#include "interrupted.h"

static tr_message *receive(tr_queue *queue)
{
    tr_message *message;

    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    return message;
}

/* Every call with a message, which must find it stale. */
static void assert_stale(tr_queue *queue, tr_message *message)
{
    tr_header header = TR_HEADER_INIT;

    assert_int_equal(tr_message_release(message), TR_EINVAL);
    assert_detail("sent or released before");
    assert_int_equal(tr_message_count(message), 0);
    assert_null(tr_message_tensor(message, 0));
    assert_null(tr_message_find(message, ""));
    assert_null(tr_message_arena(message));
    assert_int_equal(tr_message_header_get(message, &header), TR_EINVAL);
    assert_int_equal(tr_message_header_set(message, &header), TR_EINVAL);
    assert_int_equal(tr_message_seal(message), TR_EINVAL);
    assert_int_equal(tr_message_verify(message), TR_EINVAL);
    assert_false(tr_message_is_request(message));
    assert_int_equal(tr_request_remaining_ns(message), 0);
    assert_int_equal(tr_request_reply(message, NULL), TR_EINVAL);
    assert_int_equal(tr_npy_store(message, 0, "/dev/null"), TR_EINVAL);
    assert_int_equal(tr_queue_send(queue, message, TR_NOWAIT), TR_EINVAL);
    assert_detail("sent or released before");
}

static void a_release_is_for_one_loan(void **state)
{
    tr_arena *arena = make_arena(1, 0);
    tr_queue *queue = open_queue(arena, "q");
    tr_message *first = loan_i64(arena, 1, 1), *second;
    (void)state;

    assert_ok(tr_message_release(first));
    assert_stale(queue, first); /* nobody has the slot */
    second = loan_i64(arena, 1, 2);
    assert_ptr_not_equal(first, second);
    assert_stale(queue, first); /* another loan has it */
    assert_int_equal(stats_of(arena).slots_free, 0);
    assert_int_equal(first_i64(second), 2);
    assert_ok(tr_queue_send(queue, second, TR_NOWAIT));
    assert_stale(queue, second);
    first = receive(queue);
    assert_stale(queue, second); /* the same slot in the same process */
    assert_int_equal(first_i64(first), 2);
    assert_ok(tr_message_release(first));
    assert_ok(tr_message_release(NULL));
    assert_int_equal(stats_of(arena).slots_free, 1);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void a_refused_message_is_still_held(void **state)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    tr_arena *arena = make_arena(4, 0);
    tr_message *first = loan_i64(arena, 1, 1), *second = loan_i64(arena, 1, 2);
    tr_queue *full, *other = open_queue(arena, "other");
    (void)state;

    options.capacity = 1;
    assert_ok(tr_queue_open(arena, "full", &options, &full));
    assert_ok(tr_queue_send(full, first, TR_NOWAIT));
    assert_int_equal(tr_queue_send(full, second, TR_NOWAIT), TR_EAGAIN);
    assert_int_equal(first_i64(second), 2);
    assert_ok(tr_queue_send(other, second, TR_NOWAIT));
    second = receive(other); /* forwarded, and refused */
    assert_int_equal(tr_queue_send(full, second, 1000), TR_ETIMEDOUT);
    tr_queue_shutdown(other);
    assert_int_equal(tr_queue_send(other, second, TR_NOWAIT), TR_ECLOSED);
    assert_ok(tr_message_release(second));
    assert_ok(tr_message_release(receive(full)));
    assert_int_equal(stats_of(arena).slots_free, 4);
    tr_queue_close(full);
    tr_queue_close(other);
    tr_arena_close(arena);
}

static void a_release_is_for_one_look(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_board *board = board_with(arena, "k", 1);
    tr_queue *queue = open_queue(arena, "q");
    tr_message *first, *second;
    (void)state;

    assert_ok(tr_board_get(board, "k", &first, NULL));
    assert_ok(tr_message_release(first));
    assert_stale(queue, first);
    assert_ok(tr_board_get(board, "k", &second, NULL)); /* by the same pin */
    assert_ptr_not_equal(first, second);
    assert_stale(queue, first);
    assert_ok(tr_board_put(board, "k", loan_i64(arena, 1, 2), NULL));
    assert_int_equal(first_i64(second), 1); /* it is held */
    assert_ok(tr_message_release(second));
    assert_int_equal(stats_of(arena).slots_shared, 1);
    tr_board_close(board);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

#define ROUNDS 2000

struct race {
    pthread_barrier_t start, end;
    tr_message *message; /* between start and end */
    _Atomic int released;
};

static void *release_too(void *context)
{
    struct race *race = context;

    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&race->start);
        atomic_fetch_add(&race->released, tr_message_release(race->message) == 0);
        pthread_barrier_wait(&race->end);
    }
    return NULL;
}

/* An error of the user's, which must cost nobody a slot. */
static void of_two_threads_one_releases(void **state)
{
    tr_arena *arena = make_arena(2, 0);
    tr_board *board = board_with(arena, "k", 1);
    struct race race;
    pthread_t thread;
    (void)state;

    pthread_barrier_init(&race.start, NULL, 2);
    pthread_barrier_init(&race.end, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, release_too, &race), 0);
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 2)
            assert_ok(tr_board_get(board, "k", &race.message, NULL));
        else
            race.message = loan_i64(arena, 1, i);
        atomic_store(&race.released, 0);
        pthread_barrier_wait(&race.start);
        atomic_fetch_add(&race.released, tr_message_release(race.message) == 0);
        pthread_barrier_wait(&race.end);
        assert_int_equal(atomic_load(&race.released), 1);
    }
    pthread_join(thread, NULL);
    assert_int_equal(stats_of(arena).slots_free, 1);
    tr_board_close(board);
    tr_arena_close(arena);
}

/* What two threads release at once, and what came meanwhile to the faster one. */
static struct {
    tr_board *board;
    tr_arena *arena;
    tr_message *message, *later;
    uint64_t ticket;
    int released;
} twice;

static void release_and_get_again(void)
{
    twice.released += tr_message_release(twice.message) == 0;
    assert_ok(tr_board_get(twice.board, "k", &twice.later, NULL));
}

/* The second must not release the next pin, which is of the same value. */
static void a_pin_is_let_go_once(void **state)
{
    bool more = true;
    (void)state;

    twice.arena = make_arena(2, 0);
    twice.board = board_with(twice.arena, "k", 1);
    for (uint32_t step = 1; more; step++) {
        twice.later = NULL;
        twice.released = 0;
        assert_ok(tr_board_get(twice.board, "k", &twice.message, NULL));
        more = INTERRUPTED(step, release_and_get_again,
                           twice.released += tr_message_release(twice.message) == 0);
        assert_int_equal(twice.released, 1);
        if (more)
            assert_ok(tr_message_release(twice.later));
    }
    tr_board_close(twice.board);
    tr_arena_close(twice.arena);
}

/* If it is there, and was not read before. */
static void read_the_refusal(void)
{
    tr_message *reply;
    int code = tr_request_wait(twice.arena, twice.ticket, TR_NOWAIT, &reply);

    assert_true(code == TR_EREMOTE || code == TR_EAGAIN || code == TR_EINVAL);
}

static void release_and_loan_again(void)
{
    twice.released += tr_message_release(twice.message) == 0;
    read_the_refusal();
    if (tr_message_loan_bytes(twice.arena, 8, TR_NOWAIT, &twice.later) == 0)
        memset(tr_message_tensor(twice.later, 0)->data, 7, 8);
}

/* The second must not answer in what was the request's slot. */
static void a_request_is_let_go_once(void **state)
{
    static const uint8_t sevens[8] = {7, 7, 7, 7, 7, 7, 7, 7};
    tr_queue *queue;
    bool more = true;
    (void)state;

    twice.arena = make_arena(1, 0);
    queue = open_queue(twice.arena, "q");
    for (uint32_t step = 1; more; step++) {
        twice.later = NULL;
        twice.released = 0;
        assert_ok(tr_request_send(queue, loan_i64(twice.arena, 1, 1), TR_FOREVER,
                                  TR_FOREVER, 0, &twice.ticket));
        twice.message = receive(queue);
        more = INTERRUPTED(step, release_and_loan_again,
                           twice.released += tr_message_release(twice.message) == 0);
        assert_int_equal(twice.released, 1);
        read_the_refusal();
        if (twice.later) {
            assert_memory_equal(tr_message_tensor(twice.later, 0)->data, sevens, 8);
            assert_ok(tr_message_release(twice.later));
        }
        assert_int_equal(stats_of(twice.arena).slots_free, 1);
    }
    tr_queue_close(queue);
    tr_arena_close(twice.arena);
}

static size_t mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    size_t lines = 0;
    int c;

    assert_non_null(maps);
    while ((c = fgetc(maps)) != EOF)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

/* The memory behind handles is used again, and a handle from before is still told. */
static void handles_outlive_their_arena(void **state)
{
    tr_message *stale[64];
    size_t before = 0;
    (void)state;

    for (size_t i = 0; i < 64; i++) {
        tr_arena *arena = make_arena(1 + i % 8, 0);
        tr_queue *queue = open_queue(arena, "q");
        tr_message *message = loan_i64(arena, 1, 1);

        for (size_t k = 0; k < i; k++) {
            assert_ptr_not_equal(stale[k], message);
            assert_int_equal(tr_message_release(stale[k]), TR_EINVAL);
        }
        assert_int_equal(first_i64(message), 1);
        stale[i] = message;
        tr_queue_close(queue);
        tr_arena_close(arena);
        assert_int_equal(tr_message_release(message), TR_EINVAL);
        assert_int_equal(tr_message_count(message), 0);
        before = i == 8 ? mappings() : before;
    }
    assert_true(mappings() <= before + 1); /* the heap may have grown */
}

/* Every kind of handle in an arena. */
struct opened {
    tr_queue *queue;
    tr_broadcast *broadcast;
    tr_subscription *subscription;
    tr_board *board;
    tr_board_watch *watch;
    tr_waitset *set;
    tr_loader *loader;
};

static struct opened open_all(tr_arena *arena)
{
    struct opened o;

    assert_ok(tr_queue_open(arena, "q", NULL, &o.queue));
    assert_ok(tr_broadcast_open(arena, "b", NULL, &o.broadcast));
    assert_ok(tr_subscription_open(o.broadcast, NULL, &o.subscription));
    assert_ok(tr_board_open(arena, "t", NULL, &o.board));
    assert_ok(tr_board_watch_open(o.board, "k", 0, &o.watch));
    assert_ok(tr_waitset_open(arena, &o.set));
    assert_ok(tr_loader_open(arena, NULL, &o.loader));
    return o;
}

static void close_all(struct opened o)
{
    tr_loader_close(o.loader);
    tr_waitset_close(o.set);
    tr_board_watch_close(o.watch);
    tr_board_close(o.board);
    tr_subscription_close(o.subscription);
    tr_broadcast_close(o.broadcast);
    tr_queue_close(o.queue);
}

static void assert_unusable(struct opened o, const char *why)
{
    tr_message *m;
    tr_event event;
    size_t n;

    assert_int_equal(tr_queue_receive(o.queue, TR_NOWAIT, &m), TR_EINVAL);
    assert_detail(why);
    assert_int_equal(tr_subscription_receive(o.subscription, TR_NOWAIT, &m), TR_EINVAL);
    assert_detail(why);
    assert_int_equal(tr_board_get(o.board, "k", &m, NULL), TR_EINVAL);
    assert_detail(why);
    assert_int_equal(tr_board_watch_next(o.watch, TR_NOWAIT, &m, NULL), TR_EINVAL);
    assert_detail(why);
    assert_int_equal(tr_waitset_wait(o.set, &event, 1, TR_NOWAIT, &n), TR_EINVAL);
    assert_detail(why);
    assert_int_equal(
        tr_loader_run(o.loader, NULL, 0, o.queue, TR_NOWAIT, NULL, NULL, NULL),
        TR_EINVAL);
    assert_detail(why);
    assert_int_equal(tr_subscription_open(o.broadcast, NULL, &o.subscription), TR_EINVAL);
    assert_detail(why);
    assert_null(tr_broadcast_name(o.broadcast));
}

static void what_was_closed_is_told(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    struct opened first = open_all(arena), second;
    (void)state;

    close_all(first);
    assert_unusable(first, "was closed");
    close_all(first); /* again: nothing happens */
    second = open_all(arena);
    assert_ptr_not_equal(first.queue, second.queue); /* the same memory */
    assert_unusable(first, "was closed");
    close_all(first);
    assert_string_equal(tr_queue_name(second.queue), "q"); /* nor to the others */
    assert_ok(tr_broadcast_publish(second.broadcast, loan_i64(arena, 1, 1), TR_NOWAIT));
    assert_int_equal(tr_broadcast_subscribers(second.broadcast), 1);
    close_all(second);
    tr_arena_close(arena);
    tr_arena_close(arena);
    assert_int_equal(tr_arena_reap(arena, NULL), TR_EINVAL);
    assert_detail("the arena was closed");
}

static void closing_an_arena_comes_before(void **state)
{
    int before = descriptors();
    (void)state;

    for (int i = 0; i < 3; i++) {
        tr_arena *arena = make_arena(4, 0), *other;
        struct opened o = open_all(arena), later;
        int fd;

        assert_ok(tr_waitset_add_queue(o.set, o.queue, TR_WAIT_READABLE, 1));
        assert_ok(tr_waitset_fd(o.set, &fd));
        tr_arena_close(arena);
        assert_unusable(o, "the arena of the");
        other = make_arena(4, 0);
        later = open_all(other);
        assert_unusable(o, "the arena of the");
        close_all(o);
        assert_unusable(o, "was closed");
        assert_string_equal(tr_queue_name(later.queue), "q");
        close_all(later);
        tr_arena_close(other);
        assert_int_equal(descriptors(), before);
    }
}

static void parts_outlive_the_whole(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    struct opened o = open_all(arena);
    tr_message *m;
    tr_event event;
    size_t n;
    (void)state;

    assert_ok(tr_waitset_add_queue(o.set, o.queue, TR_WAIT_READABLE, 1));
    assert_ok(tr_broadcast_publish(o.broadcast, loan_i64(arena, 1, 1), TR_NOWAIT));
    assert_ok(tr_board_put(o.board, "k", loan_i64(arena, 1, 2), NULL));
    tr_broadcast_close(o.broadcast);
    tr_board_close(o.board);
    assert_ok(tr_subscription_receive(o.subscription, TR_NOWAIT, &m));
    assert_ok(tr_message_release(m));
    assert_ok(tr_board_watch_next(o.watch, TR_NOWAIT, &m, NULL));
    assert_ok(tr_message_release(m));
    tr_queue_close(o.queue); /* while it is in a set */
    assert_ok(tr_waitset_wait(o.set, &event, 1, TR_NOWAIT, &n));
    assert_int_equal(event.ready, TR_WAIT_HUNGUP);
    assert_ok(tr_waitset_remove(o.set, 1));
    close_all(o);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_release_is_for_one_loan),
        cmocka_unit_test(a_refused_message_is_still_held),
        cmocka_unit_test(a_release_is_for_one_look),
        cmocka_unit_test(of_two_threads_one_releases),
        cmocka_unit_test(a_pin_is_let_go_once),
        cmocka_unit_test(a_request_is_let_go_once),
        cmocka_unit_test(handles_outlive_their_arena),
        cmocka_unit_test(what_was_closed_is_told),
        cmocka_unit_test(closing_an_arena_comes_before),
        cmocka_unit_test(parts_outlive_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
