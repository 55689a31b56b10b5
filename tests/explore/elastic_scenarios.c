/* SPDX-License-Identifier: MIT */
/* elastic_scenarios.c - slots whose memory comes and goes by the page, within a limit, and records
 * that have none before their first use. */
#include "tests/explore/elastic_ops.h"
#include "tests/explore/families.h"
#include "tests/explore/listener.h"
#include "tests/explore/queue_ops.h"
#include "tests/explore/scenario_words.h"

/* clang-format off */
static const struct scenario elastic[] = {
    {.name = "2 take slots into use, kill 1", ELASTIC, .slots = 3, .memory = 8, .warm = 8,
     KILLS(1, 2, 0),
     .programs = {{TRY_PAGES(1), USE, END}, {TRY_PAGES(1), USE, END}, LAST}},
    {.name = "a slow one beside two marks, kill 1", ELASTIC, .slots = 3, .memory = 8,
     .warm = 8, KILLS(1, 2, 0),
     .programs = {{MORE_SLOTS, MORE_SLOTS, END}, {MORE_SLOTS, TRY_PAGES(1), END}, LAST}},
    {.name = "2 at the limit", ELASTIC, .slots = 3, .memory = 2, .warm = 2,
     .programs = {{LOAN_PAGES(1), USE, GIVE_BACK, END},
                  {LOAN_PAGES(2), USE, GIVE_BACK, END}}},
    {.name = "2 at the limit, kill 1", ELASTIC, .slots = 2, .memory = 2, .warm = 1,
     KILLS(1, 2, 0),
     .programs = {{LOAN_PAGES(1), USE, GIVE_BACK, END}, {LOAN_PAGES(2), USE, END}, LAST}},
    {.name = "the first in line needs more", ELASTIC, .slots = 4, .memory = 3, .warm = 3,
     .first = 1, .last = BIT(0),
     .programs = {{TRY_PAGES(1), GIVE_BACK, END}, {TRY_PAGES(2), END},
                  {LOAN_PAGES(2), END}, {LOAN_PAGES(1), END}}},
    {.name = "2 wait for one page each", ELASTIC, .slots = 3, .memory = 2, .warm = 2, .first = 1,
     .programs = {{LOAN_PAGES(2), GIVE_BACK, END}, {LOAN_PAGES(1), USE, END},
                  {LOAN_PAGES(1), USE, END}}},
    {.name = "a loan of pages listens, another sleeps", ELASTIC, .listen = 1, .slots = 4, .memory = 2,
     .warm = 2, .first = 1,
     .programs = {{TRY_PAGES(2), GIVE_BACK, END}, {LOAN_PAGES(2), GIVE_BACK, END},
                  {RING_PAGES(1, BY_EVENTFD), GIVE_BACK, END}}},
    {.name = "2 loans of pages listen, a trim", ELASTIC, .listen = 1, .slots = 4, .memory = 3,
     .warm = 3, .first = 1,
     .programs = {{TRY_PAGES(2), GIVE_BACK, TRIM, END}, {RING_PAGES(2, BY_FUTEX), END},
                  {RING_PAGES(1, BY_EVENTFD), END}}},
    {.name = "a release beyond the budget, kill 1", ELASTIC, .slots = 1, .memory = 4,
     .warm = 1, .first = 1, KILLS(1, 2, 0),
     .programs = {{TRY_PAGES(2), GIVE_BACK, END}, {TRY_PAGES(2), USE, GIVE_BACK, END}, LAST}},
    {.name = "a release makes another give up, kill 1", ELASTIC, .slots = 2, .memory = 6,
     .warm = 2, KILLS(1, 2, 0),
     .programs = {{TRY_PAGES(2), GIVE_BACK, END}, {TRY_PAGES(2), USE, GIVE_BACK, END}, LAST}},
    {.name = "a trim beside a loan, kill 1", ELASTIC, .slots = 1, .memory = 4, .warm = 4,
     .first = 2, KILLS(1, 2, 0),
     .programs = {{TRY_PAGES(2), GIVE_BACK, TRIM, END}, {TRY_PAGES(2), USE, GIVE_BACK, END}, LAST}},
    {.name = "2 trim beside a loan", ELASTIC, .slots = 2, .memory = 3, .warm = 3, .first = 2,
     .programs = {{TRY_PAGES(2), GIVE_BACK, TRIM, END}, {TRIM, END},
                  {TRY_PAGES(1), USE, GIVE_BACK, END}}},
};
/* clang-format on */

const struct family elastic_family = {FAMILY("elastic", elastic), .part = 2};
