/* SPDX-License-Identifier: MIT */
/* waitset_scene.h - what the tests of wait sets share. */
#ifndef TR_TESTS_WAITSET_SCENE_H
#define TR_TESTS_WAITSET_SCENE_H

#include "queue_scene.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/time.h>

#include "ipc/signal/fifo.h"
#include "src/waitset/waitset.h"

/* Slices never end here: a lost wake-up hangs the test. */
static struct os_calls patient;
static _Atomic int wakes;

static int wait_for_ever(const _Atomic uint32_t *word, uint32_t seen, int64_t until_ns)
{
    (void)until_ns;
    return os_kernel.futex_wait(word, seen, INT64_MAX);
}

static int waitv_for_ever(const struct os_word *words, uint32_t count, int64_t until_ns)
{
    (void)until_ns;
    return os_kernel.futex_waitv(words, count, INT64_MAX);
}

static int counted_wake(_Atomic uint32_t *word, int count)
{
    atomic_fetch_add(&wakes, 1);
    return os_kernel.futex_wake(word, count);
}

static int be_patient(void **state)
{
    (void)state;
    patient = os_kernel;
    patient.futex_wait = wait_for_ever;
    patient.futex_waitv = waitv_for_ever;
    patient.futex_wake = counted_wake;
    os = &patient;
    waitset_slice_ns = INT64_C(3600) * 1000000000;
    unsetenv("TENSORING_NOTIFY");
    return 0;
}

#endif
