/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "src/channel/board.h"
#include "src/message/message.h"

#define LONG (INT64_C(30) * 1000 * 1000 * 1000) /* ns: it hangs */

static tr_board *open_board(tr_arena *arena, uint32_t capacity)
{
    tr_board_options options = TR_BOARD_OPTIONS_INIT;
    tr_board *board;

    options.capacity = capacity;
    assert_ok(tr_board_open(arena, "board", &options, &board));
    return board;
}

static uint64_t put(tr_board *board, const char *key, int64_t value)
{
    uint64_t version;

    assert_ok(
        tr_board_put(board, key, loan_i64(tr_board_arena(board), 4, value), &version));
    return version;
}

static int64_t get(tr_board *board, const char *key)
{
    tr_message *message;
    int64_t value;

    assert_ok(tr_board_get(board, key, &message, NULL));
    value = first_i64(message);
    tr_message_release(message);
    return value;
}

static void holds_the_newest_of_each_key(void **state)
{
    tr_arena *arena = make_arena(32, 0);
    tr_board *board = open_board(arena, 16);
    tr_header header = TR_HEADER_INIT;
    tr_message *message;
    uint64_t version;
    char key[TR_MAX_KEY_BYTES + 1];
    (void)state;

    assert_int_equal(tr_board_get(board, "a", &message, &version), TR_ENOENT);
    for (int64_t value = 0; value < 100; value++) {
        for (int k = 0; k < 10; k++) {
            snprintf(key, sizeof(key), "key %d%*s", k, k * 20, "");
            assert_int_equal(put(board, key, 1000 * k + value), value + 1);
        }
        for (int k = 0; k < 10; k++) {
            snprintf(key, sizeof(key), "key %d%*s", k, k * 20, "");
            assert_int_equal(get(board, key), 1000 * k + value);
            assert_int_equal(tr_board_version(board, key), value + 1);
        }
    }
    assert_ok(tr_board_get(board, "key 0", &message, &version));
    assert_int_equal(version, 100);
    assert_ok(tr_message_header_get(message, &header));
    assert_int_equal(header.sequence, 100);
    assert_true(header.published_ns > 0);
    assert_true(tr_message_tensor(message, 0)->flags & TR_TENSOR_READ_ONLY);
    tr_message_release(message);
    tr_board_close(board);
    tr_arena_close(arena);
}

static void a_view_stays_as_it_was(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_board *board = open_board(arena, 4);
    tr_message *old, *same;
    (void)state;

    put(board, "k", 1);
    assert_ok(tr_board_get(board, "k", &old, NULL));
    assert_ok(tr_board_get(board, "k", &same, NULL));
    assert_ptr_not_equal(old, same);
    for (int64_t value = 2; value < 100; value++)
        put(board, "k", value);
    assert_int_equal(first_i64(old), 1);
    tr_message_release(old);
    for (int64_t value = 2; value < 100; value++)
        put(board, "k", value);
    assert_int_equal(first_i64(same), 1);
    tr_message_release(same);
    assert_int_equal(get(board, "k"), 99);
    tr_board_close(board);
    tr_arena_close(arena);
}

static void puts_on_a_condition(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_board *board = open_board(arena, 4);
    tr_message *message = loan_i64(arena, 1, 5);
    uint64_t version;
    (void)state;

    assert_int_equal(tr_board_put_if(board, "k", message, 1, &version), TR_ESTALE);
    assert_int_equal(version, 0);
    assert_ok(tr_board_put_if(board, "k", message, TR_BOARD_NO_VERSION, &version));
    assert_int_equal(version, 1);
    message = loan_i64(arena, 1, 6);
    assert_int_equal(tr_board_put_if(board, "k", message, TR_BOARD_NO_VERSION, &version),
                     TR_ESTALE);
    assert_int_equal(version, 1);
    assert_int_equal(first_i64(message), 6); /* still ours */
    assert_ok(tr_board_put_if(board, "k", message, version, &version));
    assert_int_equal(get(board, "k"), 6);
    tr_board_close(board);
    tr_arena_close(arena);
}

static void deletes(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_board *board = open_board(arena, 4);
    tr_message *message;
    uint64_t version;
    (void)state;

    assert_int_equal(tr_board_delete(board, "k", TR_BOARD_ANY_VERSION), TR_ENOENT);
    put(board, "k", 1);
    assert_int_equal(tr_board_delete(board, "k", 2), TR_ESTALE);
    assert_ok(tr_board_delete(board, "k", 1));
    assert_int_equal(tr_board_delete(board, "k", TR_BOARD_ANY_VERSION), TR_ENOENT);
    assert_int_equal(tr_board_get(board, "k", &message, &version), TR_ENOENT);
    assert_int_equal(version, 2);
    assert_int_equal(put(board, "k", 7), 3);
    assert_int_equal(get(board, "k"), 7);
    assert_ok(tr_board_delete(board, "k", TR_BOARD_ANY_VERSION));
    assert_int_equal(stats_of(arena).slots_shared, 2); /* retired, free on demand */
    for (int i = 0; i < 8; i++)
        (void)loan_i64(arena, 1, i);
    tr_board_close(board);
    tr_arena_close(arena);
}

/* Without a copy: the payload does not move. */
static void forwards_what_others_gave(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_board *board = open_board(arena, 4);
    tr_queue *queue;
    tr_message *message, *reply;
    const uint8_t *data;
    (void)state;

    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_ok(tr_queue_send(queue, loan_i64(arena, 4, 5), TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    data = tr_message_tensor(message, 0)->data;
    assert_ok(tr_board_put(board, "k", message, NULL));
    assert_ok(tr_board_get(board, "k", &message, NULL));
    assert_int_equal((const uint8_t *)tr_message_tensor(message, 0)->data -
                         arena_known(arena)->view.readonly,
                     data - arena_known(arena)->view.base);
    assert_int_equal(tr_queue_send(queue, message, TR_NOWAIT), TR_EINVAL);
    assert_detail("copy it");
    tr_message_release(message);

    /* a reply, too */
    {
        uint64_t ticket;

        assert_ok(tr_request_send(queue, loan_i64(arena, 4, 6), LONG, LONG, 0, &ticket));
        assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
        assert_ok(tr_request_reply(message, NULL));
        assert_ok(tr_request_wait(arena, ticket, TR_NOWAIT, &reply));
    }
    assert_ok(tr_board_put(board, "k", reply, NULL));
    assert_int_equal(get(board, "k"), 6);
    tr_queue_close(queue);
    tr_board_close(board);
    tr_arena_close(arena);
}

static void walks(void **state)
{
    tr_arena *arena = make_arena(64, 0);
    tr_board *board = open_board(arena, 64);
    char key[TR_MAX_KEY_BYTES + 1];
    bool seen[50] = {false};
    uint32_t cursor = 0, count = 0;
    uint64_t version;
    (void)state;

    for (int k = 0; k < 50; k++) {
        snprintf(key, sizeof(key), "%d", k);
        put(board, key, k);
    }
    for (int k = 0; k < 50; k += 5) {
        snprintf(key, sizeof(key), "%d", k);
        assert_ok(tr_board_delete(board, key, 1));
    }
    while (tr_board_next(board, &cursor, key, &version) == 0) {
        int k = atoi(key);

        assert_false(seen[k]);
        assert_true(k % 5);
        assert_int_equal(version, 1);
        seen[k] = true;
        count++;
    }
    assert_int_equal(count, 40);
    tr_board_close(board);
    tr_arena_close(arena);
}

static void limits_are_told(void **state)
{
    tr_arena *arena = make_arena(16, 0);
    tr_board *board = open_board(arena, 4), *again;
    tr_board_options options = {sizeof(options), 100};
    tr_message *message = loan_i64(arena, 1, 1);
    tr_queue *queue;
    char key[300];
    (void)state;

    assert_int_equal(tr_board_open(arena, "board", &options, &again), TR_EINVAL);
    options.capacity = 1 << 20;
    assert_int_equal(tr_board_open(arena, "large", &options, &again), TR_ENOSPC);
    assert_int_equal(tr_queue_open(arena, "board", NULL, &queue), TR_EINVAL);
    assert_detail("is a board");
    memset(key, 'x', sizeof(key));
    key[255] = 0;
    assert_int_equal(put(board, key, 1), 1);
    assert_int_equal(get(board, key), 1);
    key[255] = 'x';
    key[256] = 0;
    assert_int_equal(tr_board_put(board, key, message, NULL), TR_ENAMETOOLONG);
    assert_int_equal(tr_board_put(board, "", message, NULL), TR_EINVAL);
    put(board, "b", 1);
    put(board, "c", 1);
    put(board, "d", 1);
    assert_int_equal(tr_board_put(board, "e", message, NULL), TR_ENOSPC);
    assert_detail("all 4 keys");
    tr_message_release(message);
    assert_ok(tr_board_get(board, "d", &message, NULL));
    assert_int_equal(tr_board_put(board, "c", message, NULL), TR_EINVAL);
    tr_message_release(message);
    tr_board_close(board);
    tr_board_close(NULL);
    tr_arena_close(arena);
}

/* A key that a dead putter claimed, and left without its name, is finished by the next. */
static void half_made_keys_are_finished(void **state)
{
    tr_arena *arena = make_arena(16, 0);
    tr_board *board = open_board(arena, 4);
    const char *keys[] = {"one", "a key of more than one word", "another one of them"};
    struct board_name name;
    tr_message *none;
    (void)state;

    for (int i = 0; i < 3; i++) {
        struct board_key *entry;

        uint64_t word;

        board_name(keys[i], strlen(keys[i]), &name);
        word = board_word(&board_known(board)->table, &name);
        entry = &board_known(board)
                     ->table.keys[name.hash & (board_known(board)->table.count - 1)];
        while (entry->word)
            entry = &board_known(board)
                         ->table.keys[(entry - board_known(board)->table.keys + 1) % 4];
        entry->word = word;
        if (i)
            entry->key[0] = name.words[0];
        assert_int_equal(tr_board_get(board, keys[i], &none, NULL), TR_ENOENT);
        assert_int_equal(put(board, keys[i], i), 1);
        assert_int_equal(get(board, keys[i]), i);
    }
    /* two keys of one hash, mixed: nobody's */
    board_name("half and half", 13, &name);
    for (uint32_t i = 0; i < 4; i++)
        if (!board_known(board)->table.keys[i].word) {
            board_known(board)->table.keys[i].word = board_word(
                &board_known(board)->table, &name);
            board_known(board)->table.keys[i].key[0] = 0x6161616161616161;
        }
    assert_int_equal(tr_board_put(board, "half and half", loan_i64(arena, 1, 0), NULL),
                     TR_ENOSPC);
    tr_board_close(board);
    tr_arena_close(arena);
}

static void children_put_and_die(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_board *board = open_board(arena, 4);
    (void)state;

    put(board, "k", 1);
    for (int64_t round = 2; round < 6; round++) {
        tr_message *message;
        pid_t child = fork();

        if (child == 0) {
            if (tr_board_get(board, "k", &message, NULL) ||
                first_i64(message) != round - 1)
                _exit(1);
            put(board, "k", round);
            kill(getpid(), SIGKILL);
        }
        assert_true(WIFSIGNALED(status_of(child)));
        assert_int_equal(get(board, "k"), round);
    }
    assert_ok(tr_arena_reap(arena, NULL));
    assert_int_equal(stats_of(arena).slots_shared, 1);
    assert_int_equal(stats_of(arena).slots_free, 7);
    tr_board_close(board);
    tr_arena_close(arena);
}

struct late {
    tr_board *board;
    tr_message *messages[2];
};

static void *put_soon(void *context)
{
    struct late *late = context;

    for (int i = 0; i < 2; i++)
        if (tr_board_put(late->board, "late", late->messages[i], NULL))
            return context;
    return NULL;
}

static void waits_for_newer_ones(void **state)
{
    tr_arena *arena = make_arena(8, 0);
    tr_board *board = open_board(arena, 4);
    tr_message *message;
    struct late late = {board, {loan_i64(arena, 4, 11), loan_i64(arena, 4, 12)}};
    uint64_t version = 0;
    pthread_t thread;
    void *failed;
    (void)state;

    assert_int_equal(tr_board_wait(board, "late", 0, TR_NOWAIT, &message, NULL),
                     TR_EAGAIN);
    assert_int_equal(tr_board_wait(board, "late", 0, 1000, &message, NULL), TR_ETIMEDOUT);
    assert_int_equal(pthread_create(&thread, NULL, put_soon, &late), 0);
    while (version < 2) {
        assert_ok(tr_board_wait(board, "late", version, LONG, &message, &version));
        assert_int_equal(first_i64(message), 10 + version);
        tr_message_release(message);
    }
    pthread_join(thread, &failed);
    assert_null(failed);
    tr_board_close(board);
    tr_arena_close(arena);
}

/* Writers move a unit from one key to the other, as a pair of puts that is announced by a
 * third; a snapshot never sees half of it. Readers of one key see whole values, of versions
 * that grow. */
#define ROUNDS 4000

struct party {
    tr_arena *arena;
    tr_board *board;
    int kind;
    int failed;
};

static _Atomic int writing;

static tr_message *loan_same(tr_arena *arena, int64_t value)
{
    int64_t count = 16, *data;
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_INT, 64, 1}, .ndim = 1, .shape = &count};
    tr_message *message;

    if (tr_message_loan(arena, &spec, 1, LONG, &message))
        return NULL;
    data = tr_message_tensor(message, 0)->data;
    for (int i = 0; i < 16; i++)
        data[i] = value;
    return message;
}

static int64_t same_of(const tr_message *message)
{
    const int64_t *data = tr_message_tensor(message, 0)->data;

    for (int i = 1; i < 16; i++)
        if (data[i] != data[0])
            return -1;
    return data[0];
}

/* "left" is put first, so that it is never behind "right" at any instant, nor more than one
 * before it. */
static void *write_pairs(void *context)
{
    struct party *party = context;

    for (int64_t i = 1; i <= ROUNDS && !party->failed; i++) {
        tr_message *left = loan_same(party->arena, i), *right;

        if (!left || tr_board_put(party->board, "left", left, NULL))
            party->failed = 1;
        right = loan_same(party->arena, i);
        if (!right || tr_board_put(party->board, "right", right, NULL))
            party->failed = 2;
    }
    atomic_fetch_sub(&writing, 1);
    return NULL;
}

static void *read_pairs(void *context)
{
    static const char *const keys[] = {"left", "right", "none"};
    struct party *party = context;

    while (atomic_load(&writing) && !party->failed) {
        tr_message *got[3];
        uint64_t versions[3];
        int64_t left, right;
        int result = tr_board_get_many(party->board, keys, 3, got, versions);

        if (result == TR_EAGAIN)
            continue;
        if (result) {
            party->failed = 3;
            break;
        }
        left = got[0] ? same_of(got[0]) : 0;
        right = got[1] ? same_of(got[1]) : 0;
        if (got[2] || (left != right && left != right + 1))
            party->failed = 4;
        if ((int64_t)versions[0] != left || (int64_t)versions[1] != right)
            party->failed = 5;
        tr_message_release(got[0]);
        tr_message_release(got[1]);
    }
    return NULL;
}

static void *read_one(void *context)
{
    struct party *party = context;
    uint64_t last = 0;

    while (atomic_load(&writing) && !party->failed) {
        tr_message *message;
        uint64_t version;
        int result = tr_board_get(party->board, "right", &message, &version);

        if (result == TR_ENOENT)
            continue;
        if (result || same_of(message) != (int64_t)version || version < last)
            party->failed = 6;
        last = version;
        if (result == 0)
            tr_message_release(message);
    }
    return NULL;
}

static void *bump(void *context)
{
    struct party *party = context;

    for (int i = 0; i < ROUNDS / 4 && !party->failed; i++) {
        tr_message *message = loan_same(party->arena, 0);
        int64_t value = 0;
        int result;

        do {
            tr_message *old;
            uint64_t version = 0;

            value = 0;
            result = tr_board_get(party->board, "sum", &old, &version);
            if (result == 0) {
                value = first_i64(old);
                tr_message_release(old);
            }
            for (int k = 0; message && k < 16; k++)
                ((int64_t *)tr_message_tensor(message, 0)->data)[k] = value + 1;
            result = message
                         ? tr_board_put_if(party->board, "sum", message, version, NULL)
                         : -1;
        } while (result == TR_ESTALE);
        if (result)
            party->failed = 7;
    }
    atomic_fetch_sub(&writing, 1);
    return NULL;
}

static void many_threads(uint64_t slots)
{
    static void *(*const roles[])(void *) = {write_pairs, bump,     bump,
                                             read_pairs,  read_one, read_one};
    enum { PARTIES = sizeof(roles) / sizeof(*roles) };
    tr_arena *arena = make_arena(slots, 0);
    tr_board *board = open_board(arena, 8);
    struct party parties[PARTIES];
    pthread_t threads[PARTIES];

    atomic_store(&writing, 3);
    for (int i = 0; i < PARTIES; i++) {
        parties[i] = (struct party){.arena = arena, .board = board};
        assert_int_equal(pthread_create(&threads[i], NULL, roles[i], &parties[i]), 0);
    }
    for (int i = 0; i < PARTIES; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PARTIES; i++)
        assert_int_equal(parties[i].failed, 0);
    assert_int_equal(get(board, "sum"), 2 * (ROUNDS / 4));
    assert_int_equal(get(board, "left"), ROUNDS);
    tr_board_close(board);
    tr_arena_close(arena);
}

static void many_threads_with_room(void **state)
{
    (void)state;
    many_threads(128);
}

static void many_threads_short_of_slots(void **state)
{
    (void)state;
    many_threads(12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_newest_of_each_key),
        cmocka_unit_test(a_view_stays_as_it_was),
        cmocka_unit_test(puts_on_a_condition),
        cmocka_unit_test(deletes),
        cmocka_unit_test(forwards_what_others_gave),
        cmocka_unit_test(walks),
        cmocka_unit_test(limits_are_told),
        cmocka_unit_test(half_made_keys_are_finished),
        cmocka_unit_test(children_put_and_die),
        cmocka_unit_test(waits_for_newer_ones),
        cmocka_unit_test(many_threads_with_room),
        cmocka_unit_test(many_threads_short_of_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
