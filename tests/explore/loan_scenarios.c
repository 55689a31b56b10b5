/* SPDX-License-Identifier: MIT */
/* loan_scenarios.c - loans that wait by a wait set, beside others that sleep, and deaths. */
#include "tests/explore/doorbell_ops.h"
#include "tests/explore/families.h"
#include "tests/explore/loan_ops.h"
#include "tests/explore/scenario_words.h"

/* clang-format off */
#define LOANS_OF(all, checked) .listen = 1, .channels = 1, .slots = (all), .capacity = 2, \
        .max_deliveries = 200, .build = doorbell_build, .killed = doorbell_killed, \
        .check = checked
#define LOANS LOANS_OF(1, loan_check)
/* The first has taken the only slot before the others begin. */
#define TAKEN .first = 1

static const struct scenario loans[] = {
    {.name = "a loan that listens", LOANS, TAKEN,
     .programs = {{TRY_SEND(0, 0), END}, {RECEIVE(0), END}, {RING_LOAN(BY_FUTEX), GIVE_BACK, END}}},
    {.name = "a loan by eventfd", LOANS, TAKEN,
     .programs = {{TRY_SEND(0, 0), END}, {RECEIVE(0), END}, {RING_LOAN(BY_EVENTFD), GIVE_BACK, END}}},
    {.name = "a loan by io_uring", LOANS, TAKEN,
     .programs = {{TRY_SEND(0, 0), END}, {RECEIVE(0), END}, {RING_LOAN(BY_URING), GIVE_BACK, END}}},
    {.name = "2 loans listen, 1 slot", LOANS_OF(1, loan_check_herd), TAKEN,
     .programs = {{TRY_SEND(0, 0), END}, {RECEIVE(0), END}, {RING_LOAN(BY_FUTEX), END},
                  {RING_LOAN(BY_EVENTFD), END}}},
    {.name = "told of a slot, and gone", LOANS, TAKEN,
     .programs = {{TRY_SEND(0, 0), END}, {RECEIVE(0), END}, {RING_TOLD(BY_FUTEX), END},
                  {RING_LOAN(BY_EVENTFD), END}}},
    {.name = "a loan sleeps, another listens", LOANS, TAKEN,
     .programs = {{TRY_SEND(0, 0), END}, {RECEIVE(0), RECEIVE(0), END}, {SEND(0, 1), END},
                  {RING_LOAN(BY_EVENTFD), GIVE_BACK, END}}},
    {.name = "2 loans in turn", LOANS, TAKEN,
     .programs = {{RING_LOAN(BY_FUTEX), GIVE_BACK, END}, {RING_LOAN(BY_FUTEX), GIVE_BACK, END},
                  {RING_LOAN(BY_EVENTFD), GIVE_BACK, END}}},
    {.name = "2 slots, 2 loans listen", LOANS_OF(2, loan_check), .first = 2,
     .programs = {{TRY_SEND(0, 0), TRY_SEND(0, 1), END}, {RECEIVE(0), RECEIVE(0), END},
                  {RING_LOAN(BY_FUTEX), END}, {RING_LOAN(BY_EVENTFD), END}}},
    {.name = "the holder dies, a loan listens", LOANS, TAKEN, KILLS(1, 2, BIT(1)),
     .programs = {{RING_LOAN(BY_FUTEX), GIVE_BACK, END}, {RING_LOAN(BY_EVENTFD), GIVE_BACK, END}, LAST}},
    {.name = "a loan that listens dies", LOANS, TAKEN, KILLS(1, 3, BIT(0) | BIT(2)),
     .programs = {{RING_LOAN(BY_FUTEX), GIVE_BACK, END}, {RING_LOAN(BY_EVENTFD), GIVE_BACK, END},
                  {RING_LOAN(BY_FUTEX), GIVE_BACK, END}, LAST}},
    {.name = "the next in the entry listens elsewhere", LOANS, .first = 2,
     .programs = {{LISTEN_FOR_SLOT, VANISH, END},
                  {REAP, QUIT, REJOIN, ADD(0), TAKE(BY_EVENTFD, 0), END},
                  {RING_LOAN(BY_FUTEX), GIVE_BACK, END},
                  {RING_LOAN(BY_EVENTFD), END}}},
};
/* clang-format on */

const struct family loan_family = {FAMILY("loans", loans), .part = 2};
