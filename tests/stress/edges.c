/* SPDX-License-Identifier: MIT */
/* edges.c - each ordering edge alone: stress_edges E1.
 *
 * A scene is a few steps, each on a thread of its own, one after the other. They take turns
 * by a relaxed word, which orders nothing: so the accesses to the payload, or to `witness`,
 * are ordered by the edge or not at all, and ThreadSanitizer says which. The mutants build
 * this file with -DTR_WEAKEN_<edge> and must be reported; the whole build must not. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ipc/exchange/channel.h"
#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/shared.h"
#include "ipc/hooks.h"
#include "ipc/kernel/life.h"
#include "ipc/kernel/os.h"
#include "ipc/liveness/join.h"
#include "ipc/liveness/participant.h"
#include "ipc/liveness/reap.h"
#include "ipc/memory/segment.h"

#define STEPS 4

struct scene {
    const char *edge;
    uint32_t peers; /* of peer[], joined beforehand */
    void (*step[STEPS])(void);
};

static struct view view;
static struct self self[STEPS];
static struct ring ring[STEPS];
static uint64_t witness; /* plain: only an edge may order it */
static _Atomic uint32_t turn, failures;
static _Atomic uint64_t dead; /* a bit for each participant */

static void expect(int ok)
{
    if (!ok)
        atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed);
}

static uint64_t *payload(uint32_t slot)
{
    return (uint64_t *)(void *)(view.base + view_payload_off(&view, slot));
}

static void see_witness(void)
{
    expect(witness == 1);
}

static void open_ring(uint32_t i)
{
    const struct channel_spec spec = {
        .name = "q", .kind = CHANNEL_QUEUE, .capacity = 4, .max_deliveries = 3};
    uint32_t index = 0;

    expect(channel_open(&self[i], &spec, &index) == 0);
    expect(channel_ring(&view, index, &ring[i]) == 0);
}

static bool fake_dead(const struct view *of, uint32_t participant)
{
    (void)of;
    return atomic_load_explicit(&dead, memory_order_relaxed) >> participant & 1;
}

static void send_one(void)
{
    uint32_t slot;

    expect(slot_loan(&self[0], 0, &slot) == 0);
    *payload(slot) = 42;
    expect(ring_put(&ring[0], &self[0], slot) == 0);
}

/* E1: the process that claims the slot sees what the sender wrote. Where the message came by a
 * cell, the cell's own order covers that; so let the sender die before it gets there. */
static _Thread_local jmp_buf *death;

static void die_at_change(const char *site, const void *at, enum shm_kind kind)
{
    (void)site;
    (void)at;
    if (death && kind == SHM_RMW)
        longjmp(*death, 1);
}

static void send_and_die(void)
{
    jmp_buf out;
    uint32_t slot;

    expect(slot_loan(&self[1], 0, &slot) == 0);
    *payload(slot) = 42;
    if (setjmp(out) == 0) {
        death = &out;
        (void)ring_put(&ring[1], &self[1], slot);
        expect(0);
    }
    atomic_store_explicit(&dead, UINT64_C(1) << self[1].who, memory_order_relaxed);
}

/* E2: the last holder is done before the next one writes. */
static void hold_and_free(void)
{
    uint32_t slot;

    expect(slot_loan(&self[0], 0, &slot) == 0);
    *payload(slot) = 1;
    slot_free(&self[0], slot);
}

static void loan_again(void)
{
    uint32_t slot;

    expect(slot_loan(&self[1], 0, &slot) == 0);
    *payload(slot) = 2;
}

/* E4: the reaper sees the whole entry. */
static void join_one(void)
{
    witness = 1;
    expect(participant_join(&self[1]) == 0);
}

static void look_for_dead(void)
{
    struct reap_report report = {0};

    expect(reap_all(&self[0], &report) == 0 && report.dead == 0);
    see_witness();
}

/* E5: a process that opens a channel finds it whole. */
static void make_channel(void)
{
    witness = 1;
    open_ring(0);
}

static void find_channel(void)
{
    open_ring(1);
    see_witness();
}

/* E6: what the sender wrote survives the receiver and reaches the next one. */
static void receive_and_die(void)
{
    uint32_t slot;

    expect(ring_take(&ring[1], &self[1], &slot) == 0);
    atomic_store_explicit(&dead, UINT64_C(1) << self[1].who, memory_order_relaxed);
}

static void reap_the_dead(void)
{
    struct reap_report report = {0};

    expect(reap_all(&self[2], &report) == 0 && report.redelivered == 1);
}

static void receive_orphan(void)
{
    uint32_t slot;

    expect(ring_take(&ring[3], &self[3], &slot) == 0);
    expect(*payload(slot) == 42);
}

/* E7: the sweep is over before the entry has a new owner. */
static void sweep(void)
{
    struct reap_report report = {0};

    witness = 1;
    expect(reap_all(&self[0], &report) == 0 && report.dead == 1);
}

static void join_swept(void)
{
    struct self late = {.view = &view};

    expect(participant_join(&late) == 0 && late.who == self[1].who);
    see_witness();
}

/* E11: a process that pins a shared slot sees what was put. E10: its reads are over before the
 * slot is loaned again. The cell is the test's own, and orders nothing. */
static _Atomic uint64_t cell;

static void put_shared(void)
{
    struct putting putting;
    uint32_t slot;

    expect(slot_loan(&self[0], 0, &slot) == 0);
    *payload(slot) = 42;
    shared_begin(&self[0], slot, &putting);
    atomic_store_explicit(&cell, 1, memory_order_relaxed);
    shared_done(&self[0], &putting);
}

static void read_shared(void)
{
    struct pin pin;

    expect(shared_pin(&self[1], &cell, 1, 0, &pin) == 0);
    expect(*payload(0) == 42);
    shared_unpin(&self[1], &pin);
}

static void retire_and_loan(void)
{
    uint64_t word;
    uint32_t slot;

    expect(shared_complete(&view, &cell, 1, 0, &word));
    atomic_store_explicit(&cell, 2, memory_order_relaxed);
    expect(shared_retire(&view, 0, word, true));
    expect(slot_loan(&self[2], 0, &slot) == 0);
    *payload(slot) = 43;
}

/* E0: a process that attaches finds the control block whole. */
static _Atomic(uint8_t *) made; /* where the creator has the control block */
static _Atomic int made_fd;
static _Thread_local uint8_t *shown; /* its next mapping of a control block */

static void create_arena(void)
{
    const struct segment_class class = {.slot_bytes = ARENA_PAGE, .count = 1};
    const struct segment_spec spec = {.classes = &class,
                                      .class_count = 1,
                                      .participant_count = STEPS,
                                      .channel_count = STEPS,
                                      .pin_count = 1,
                                      .rings_bytes = ARENA_PAGE,
                                      .mode = 0600,
                                      .uid = UINT32_MAX,
                                      .gid = UINT32_MAX};
    struct segment_report report = {0};

    expect(segment_create(&spec, &view, &report) == 0);
    for (int i = 0; i < STEPS; i++)
        self[i].view = &view;
    atomic_store_explicit(&made, view.base, memory_order_relaxed);
    atomic_store_explicit(&made_fd, view.lock_fd, memory_order_relaxed);
}

static void attach_arena(void)
{
    struct segment_report report = {0};
    struct view other = {0};

    shown = atomic_load_explicit(&made, memory_order_relaxed);
    expect(segment_attach(NULL, dup(atomic_load_explicit(&made_fd, memory_order_relaxed)),
                          TRUST_OWN, &other, &report) == 0);
    shown = NULL;
    segment_detach(&other);
}

/* ThreadSanitizer sees nothing across two mappings: show it one. */
void *__real_mmap(void *, size_t, int, int, int, off_t);
int __real_munmap(void *, size_t);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t off);
int __wrap_munmap(void *at, size_t bytes);

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t off)
{
    if (shown && bytes == sizeof(struct control) && prot == PROT_READ)
        return shown;
    return __real_mmap(at, bytes, prot, flags, fd, off);
}

int __wrap_munmap(void *at, size_t bytes)
{
    return at == shown ? 0 : __real_munmap(at, bytes);
}

static const struct scene scenes[] = {
    {"E0", 0, {create_arena, attach_arena}},
    {"E1", 4, {send_and_die, reap_the_dead, receive_orphan}},
    {"E2", 2, {hold_and_free, loan_again}},
    {"E4", 1, {join_one, look_for_dead}},
    {"E5", 2, {make_channel, find_channel}},
    {"E6", 4, {send_one, receive_and_die, reap_the_dead, receive_orphan}},
    {"E7", 2, {sweep, join_swept}},
    {"E10", 3, {put_shared, read_shared, retire_and_loan}},
    {"E11", 2, {put_shared, read_shared}},
};

static const struct scene *scene;

static void *act(void *number)
{
    uint32_t mine = (uint32_t)(uintptr_t)number;

    while (atomic_load_explicit(&turn, memory_order_relaxed) != mine)
        sched_yield();
    scene->step[mine]();
    atomic_store_explicit(&turn, mine + 1, memory_order_relaxed);
    return NULL;
}

static void set_up(void)
{
    static struct hooks fake;

    fake = hooks_real;
    fake.dead = fake_dead;
    hooks = &fake;
    shm_step_hook = die_at_change;
    if (scene->peers == 0)
        return;
    create_arena();
    for (uint32_t i = 0; i < scene->peers; i++)
        expect(participant_join(&self[i]) == 0);
    if (strcmp(scene->edge, "E5") != 0)
        for (uint32_t i = 0; i < scene->peers; i++)
            open_ring(i);
    if (strcmp(scene->edge, "E7") == 0) { /* as if its process had ended */
        life_end(&self[1].life, view.lock_fd);
        dead = UINT64_C(1) << self[1].who;
    }
}

int main(int argc, char **argv)
{
    pthread_t threads[STEPS];
    uint32_t steps = 0;

    for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++)
        if (argc == 2 && strcmp(argv[1], scenes[i].edge) == 0)
            scene = &scenes[i];
    if (!scene)
        return fprintf(stderr, "no scene for this edge\n"), 2;
    set_up();
    for (; steps < STEPS && scene->step[steps]; steps++)
        if (pthread_create(&threads[steps], NULL, act, (void *)(uintptr_t)steps))
            return 2;
    for (uint32_t i = 0; i < steps; i++)
        pthread_join(threads[i], NULL);
    segment_detach(&view);
    return failures ? 1 : 0;
}
