/* SPDX-License-Identifier: MIT */
/* interrupted.h - something happens before one step of a call that is under test. */
#ifndef TR_TESTS_INTERRUPTED_H
#define TR_TESTS_INTERRUPTED_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/shm.h"

/* What happens before one step of the call that is under test. */
static struct {
    uint32_t at, steps;
    void (*run)(void);
} plan;

static void on_step(const char *site, const void *at, enum shm_kind kind)
{
    (void)site;
    (void)at;
    (void)kind;
    if (++plan.steps == plan.at) {
        shm_step_hook = NULL;
        plan.run();
        shm_step_hook = on_step;
    }
}

/* Runs @p call with the plan's interruption before step @p step. Whether there was such a step. */
#define INTERRUPTED(step, interruption, call)                     \
    (plan.at = (step), plan.steps = 0, plan.run = (interruption), \
     shm_step_hook = on_step, (call), shm_step_hook = NULL, plan.steps >= plan.at)

#endif
