/* SPDX-License-Identifier: MIT */
/* Which listener is rung, seen by replacing the futex calls: participants are handles of one
 * process. */
#include "support.h"

#include <poll.h>

#include "ipc/kernel/os.h"
#include "ipc/liveness/participant.h"
#include "ipc/liveness/reap.h"
#include "ipc/signal/fifo.h"
#include "ipc/signal/notify.h"
#include "src/arena/arena.h"
#include "src/channel/queue.h"

enum { PARTIES = 4 };

static struct os_calls quiet;
static const _Atomic uint32_t *woken[64];
static uint32_t woken_count;
static tr_arena *arenas[PARTIES];
static tr_queue *queue;
static _Atomic uint32_t *word;

static int note_wake(_Atomic uint32_t *at, int count)
{
    (void)count;
    woken[woken_count++ % 64] = at;
    return 1; /* as if somebody had slept there */
}

static _Atomic uint32_t *doorbell(int i)
{
    return &view_participant(&arena_known(arenas[0])->view,
                             arena_known(arenas[i])->self.who)
                ->doorbell;
}

/* How often the doorbell of @p i was rung. */
static uint32_t rings(int i)
{
    uint32_t count = 0;

    for (uint32_t w = 0; w < woken_count; w++)
        count += woken[w] == doorbell(i);
    return count;
}

static int set_up(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    const tr_slot_class slots = {256, 8};
    (void)state;

    options.classes = &slots;
    options.class_count = 1;
    assert_ok(tr_arena_create(NULL, &options, &arenas[0]));
    for (int i = 1; i < PARTIES; i++)
        assert_ok(tr_arena_attach_fd(arena_known(arenas[0])->view.lock_fd, &arenas[i]));
    assert_ok(tr_queue_open(arenas[0], "q", NULL, &queue));
    /* All see the same memory, but each at its own address: wakers use that of 0. */
    word = &queue_known(queue)->ring.channel->items;
    quiet = os_kernel;
    quiet.futex_wake = note_wake;
    os = &quiet;
    woken_count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    os = &os_kernel;
    tr_queue_close(queue);
    for (int i = PARTIES - 1; i >= 0; i--)
        tr_arena_close(arenas[i]);
    return 0;
}

static struct self *self(int i)
{
    /* Seen through the mapping of 0, so that addresses compare. */
    arena_known(arenas[i])->self.view = &arena_known(arenas[0])->view;
    return &arena_known(arenas[i])->self;
}

static void listen_all(uint32_t flags)
{
    for (int i = 0; i < PARTIES; i++) {
        notify_arm(self(i), flags);
        notify_listen(self(i), word);
    }
}

static void one_message_rings_one(void **state)
{
    (void)state;
    listen_all(WAKE_ASLEEP);
    for (uint32_t sent = 1; sent <= PARTIES; sent++) {
        uint32_t all = 0;

        wake_one(&arena_known(arenas[0])->view, word);
        for (int i = 0; i < PARTIES; i++) {
            all += rings(i);
            assert_true(rings(i) <= 1); /* each is rung before one is rung twice */
        }
        assert_int_equal(all, sent);
    }
    /* Nobody listens any more: not even a look at the doorbells. */
    wake_one(&arena_known(arenas[0])->view, word);
    assert_int_equal(shm_get(word) & WAKE_FLAGS, 0);
    assert_int_equal(woken_count, PARTIES);
}

static void a_broadcast_rings_all(void **state)
{
    (void)state;
    listen_all(WAKE_ASLEEP);
    wake_all(&arena_known(arenas[0])->view, word);
    for (int i = 0; i < PARTIES; i++)
        assert_int_equal(rings(i), 1);
}

static void turns_go_round(void **state)
{
    (void)state;
    for (int round = 1; round <= 5; round++)
        for (int i = 0; i < PARTIES; i++) {
            listen_all(WAKE_ASLEEP);
            wake_one(&arena_known(arenas[0])->view, word);
            for (int k = 0; k < PARTIES; k++)
                assert_int_equal(rings(k), round - (k > i));
        }
}

static void the_busy_are_passed_by(void **state)
{
    (void)state;
    listen_all(WAKE_ASLEEP);
    for (int i = 0; i < PARTIES - 1; i++) /* they found something else to do */
        shm_put(doorbell(i), shm_get(doorbell(i)) & ~WAKE_FLAGS);
    wake_one(&arena_known(arenas[0])->view, word);
    assert_int_equal(rings(PARTIES - 1), 1);
    assert_int_equal(woken_count, 1);
    /* And listen again when they come back. */
    for (int i = 0; i < PARTIES - 1; i++) {
        notify_arm(self(i), WAKE_ASLEEP);
        notify_listen(self(i), word);
        assert_true(shm_get(word) & WAKE_POLLED);
    }
}

static void the_absent_do_not_swallow_it(void **state)
{
    static const struct os_calls *before;
    (void)state;
    listen_all(WAKE_ASLEEP);
    before = os;
    os = &os_kernel; /* nobody sleeps: the kernel says so, and the next is tried */
    wake_one(&arena_known(arenas[0])->view, word);
    os = before;
    assert_int_equal(shm_get(word) & WAKE_POLLED, 0);
    for (int i = 0; i < PARTIES; i++)
        assert_int_equal(shm_get(doorbell(i)) & WAKE_FLAGS, 0);
}

static void a_leaver_hands_it_on(void **state)
{
    uint32_t all = 0;
    int rung = -1;
    (void)state;

    listen_all(WAKE_ASLEEP);
    wake_one(&arena_known(arenas[0])->view, word);
    for (int i = 0; i < PARTIES; i++)
        rung = rings(i) ? i : rung;
    notify_unlisten(self(rung), word);
    assert_int_equal(woken_count, 2); /* another one */
    assert_int_equal(rings(rung), 1);
    /* Also one that has listened again since, has seen it, and leaves it there. */
    for (int i = 0; i < PARTIES; i++)
        rung = i != rung && rings(i) ? i : rung;
    notify_arm(self(rung), WAKE_ASLEEP);
    notify_listen(self(rung), word);
    notify_unlisten(self(rung), word);
    for (int i = 0; i < PARTIES; i++)
        all += rings(i);
    assert_int_equal(all, 3);
    assert_int_equal(rings(rung), 1);
}

/* One that listens again while it is being rung is not rung forever. */
static int again(_Atomic uint32_t *at, int count)
{
    (void)note_wake(at, count);
    notify_arm(self(1), WAKE_ASLEEP);
    notify_listen(self(1), word);
    return 0;
}

static void a_ring_goes_round_once(void **state)
{
    (void)state;
    quiet.futex_wake = again;
    notify_arm(self(1), WAKE_ASLEEP);
    notify_listen(self(1), word);
    wake_one(&arena_known(arenas[0])->view, word);
    assert_in_range(rings(1), 1, 2);
    assert_true(shm_get(word) & WAKE_POLLED); /* for the next */
}

static void notices_coalesce(void **state)
{
    struct channel *channel = queue_known(queue)->ring.channel;
    (void)state;

    notify_arm(self(1), WAKE_ASLEEP);
    notify_listen(self(1), &channel->items);
    notify_listen(self(1), &channel->room);
    wake_one(&arena_known(arenas[0])->view, &channel->items);
    wake_one(&arena_known(arenas[0])->view, &channel->room);
    assert_int_equal(rings(1), 1);
    assert_int_equal(notify_hints(self(1)),
                     notify_hint_of(&arena_known(arenas[0])->view, &channel->items));
    assert_int_equal(notify_hints(self(1)), 0);
}

static void some_words_have_listeners(void **state)
{
    const struct view *view = &arena_known(arenas[0])->view;
    _Atomic uint32_t *group = &queue_known(queue)->ring.channel->groups[0];
    _Atomic uint32_t elsewhere = 0; /* local: */
    (void)state;

    assert_true(notify_can(view, word));
    assert_true(notify_can(view, &queue_known(queue)->ring.channel->room));
    assert_false(notify_can(view, &queue_known(queue)->ring.channel->closed));
    assert_true(notify_can(view, &view_live(view)->classes[0].freed));
    assert_true(notify_can(view, &view_live(view)->memory));
    assert_false(
        notify_can(view, &view_live(view)->classes[view->geo.class_count].freed));
    assert_false(notify_can(view, &view_live(view)->classes[0].last));
    assert_false(notify_can(view, &elsewhere));
    /* A scribbler sets the flag where there are none: nothing happens. */
    shm_put(group, WAKE_POLLED);
    wake_one(view, group);
    assert_int_equal(woken_count, 0);
    /* Or names participants that can't be. */
    for (int i = 0; i < 4; i++)
        shm_put(&queue_known(queue)->ring.channel->items_listeners[i], UINT64_MAX);
    shm_put(word, WAKE_POLLED);
    wake_all(view, word);
    assert_int_equal(woken_count, 0);
    assert_int_equal(shm_get(word) & WAKE_POLLED, 0);
}

/* A reaper that comes late must not remove the FIFO of a newcomer in the entry. */
static void keeps_its_fifo(const struct view *view, uint32_t who)
{
    struct participant *entry = view_participant(view, who);
    uint64_t key = fifo_new_key();
    int fd = fifo_make(view, key);
    char path[FIFO_PATH];

    assert_true(fd >= 0);
    fifo_path(view, key, path);
    shm_put(&entry->fifo_key, key);
    shm_put(&entry->notify, NOTIFY_FIFO);
    notify_forget(view, who, arena_known(arenas[2])->self.inc);
    assert_int_equal(access(path, F_OK), 0);
    fifo_remove(view, key);
    close(fd);
    shm_put(&entry->notify, NOTIFY_EVENTFD);
}

static void the_dead_are_forgotten(void **state)
{
    const struct view *view = &arena_known(arenas[0])->view;
    uint32_t who = arena_known(arenas[2])->self.who;
    (void)state;

    listen_all(WAKE_POLLED);
    notify_forget(view, who, arena_known(arenas[2])->self.inc);
    assert_false(shm_get(&queue_known(queue)->ring.channel->items_listeners[who / 64]) >>
                     who % 64 &
                 1);
    /* A reaper that comes late finds a newcomer in the entry: it is not made deaf. */
    shm_put(&view_participant(view, who)->notify, NOTIFY_EVENTFD);
    notify_forget(view, who, arena_known(arenas[2])->self.inc);
    assert_int_equal(shm_get(&view_participant(view, who)->notify), NOTIFY_EVENTFD);
    keeps_its_fifo(view, who);
    /* The reaper rings the others, whatever their doorbells say. */
    shm_put(doorbell(1), shm_get(doorbell(1)) & ~WAKE_FLAGS);
    notify_everybody(view);
    assert_int_equal(rings(1), 1);
    assert_int_equal(rings(3), 1);
}

int main(void)
{
#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        SCENE(one_message_rings_one),
        SCENE(a_broadcast_rings_all),
        SCENE(turns_go_round),
        SCENE(the_busy_are_passed_by),
        SCENE(the_absent_do_not_swallow_it),
        SCENE(a_leaver_hands_it_on),
        SCENE(a_ring_goes_round_once),
        SCENE(notices_coalesce),
        SCENE(some_words_have_listeners),
        SCENE(the_dead_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
