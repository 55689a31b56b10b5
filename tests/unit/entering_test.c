/* SPDX-License-Identifier: MIT */
/* Threads of one process that become participants at once, where the file can't be opened again:
 * the record lock of an entry is one for all of them, and does not keep them apart. */
#include "no_proc.h"
#include "support.h"

#include <pthread.h>
#include <semaphore.h>

#include "src/arena/arena.h"

static sem_t amid, on;
static _Thread_local bool slow; /* it stops inside its entry */
static pthread_t slow_thread;
static tr_arena *slow_one;
static int number;

int __real_sched_yield(void);
int __wrap_sched_yield(void);

/* Another thread waits: go on. */
int __wrap_sched_yield(void)
{
    if (!pthread_equal(pthread_self(), slow_thread))
        sem_post(&on);
    return __real_sched_yield();
}

/* It has begun to write the entry, with a start time that it can't know, and will erase the pins
 * of the last one that had it. */
static bool stop_amid(const struct shm_access *access)
{
    if (!slow || !access->bare || access->kind != SHM_STORE || access->bytes != 8 ||
        access->operand != 0)
        return false;
    slow = false;
    sem_post(&amid);
    sem_wait(&on);
    return false;
}

static void *attach_slowly(void *unused)
{
    (void)unused;
    slow = true;
    return tr_arena_attach_fd(number, &slow_one) == 0 ? &amid : NULL;
}

static uint64_t *pin_of(tr_arena *arena)
{
    const struct self *me = &arena_known(arena)->self;

    return (uint64_t *)(void *)view_pins(me->view, me->who);
}

/* 0: it kept its entry and its pin. */
static int enter_beside_another(void)
{
    tr_arena *arena = make_arena(4, 0), *second;
    void *attached;

    number = arena_known(arena)->view.lock_fd;
    shm_memory_hook = stop_amid;
    if (pthread_create(&slow_thread, NULL, attach_slowly, NULL) != 0)
        return 2;
    sem_wait(&amid);
    if (tr_arena_attach_fd(number, &second) != 0)
        return 3;
    *pin_of(second) = 1;
    sem_post(&on);
    if (pthread_join(slow_thread, &attached) != 0 || !attached)
        return 4;
    shm_memory_hook = NULL;
    if (arena_known(second)->self.who == arena_known(slow_one)->self.who)
        return 5;
    if (*pin_of(second) != 1)
        return 6;
    *pin_of(second) = 0;
    tr_arena_close(second);
    tr_arena_close(slow_one);
    tr_arena_close(arena);
    return 0;
}

static void threads_enter_one_at_a_time(void **state)
{
    pid_t child = fork();
    int status;
    (void)state;

    if (child == 0) {
        alarm(60);
        sem_init(&amid, 0, 0);
        sem_init(&on, 0, 0);
        _exit(lose_proc() ? enter_beside_another() : 77);
    }
    status = status_of(child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_enter_one_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
