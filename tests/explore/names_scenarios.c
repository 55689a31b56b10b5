/* SPDX-License-Identifier: MIT */
/* names_scenarios.c - arenas are created, attached to, swept and unlinked by name, by processes
 * that die between any two steps. In the end a newcomer gets in, and what nobody uses is swept. */
#include "tests/explore/families.h"
#include "tests/explore/names_ops.h"
#include "tests/explore/scenario_words.h"

/* clang-format off */
#define NAMES_OF(entries) .slots = 1, .channels = 1, .capacity = (entries), \
                .elsewhere = &names_elsewhere, .killed = names_killed, .check = names_check
#define NAMES   NAMES_OF(4)
#define CRASHED {CREATE, DIE}, /* before all else: an arena whose only user has died */
#define LEFT    {CREATE, CLOSE_OWN, END}, /* or has left it in order */
#define OWNED   {CREATE, CLOSE_OWN, END}, /* or leaves it meanwhile */
#define AFTER   {ENTER, CLOSE_OWN, CLEAN, END}

/* The small ones first: mutants are looked for in this order. */
static const struct scenario names[] = {
    {.name = "2 creators", NAMES, .last = BIT(2),
     .programs = {{CREATE, END}, {CREATE, END}, AFTER}},
    {.name = "a creator, a sweeper", NAMES, .last = BIT(2),
     .programs = {{CREATE, END}, {SWEEP, END}, AFTER}},
    {.name = "a creator, one attaches", NAMES, .last = BIT(2),
     .programs = {{CREATE, END}, {ATTACH, END}, AFTER}},
    {.name = "left in order, attach and sweep", NAMES, .first = 2, .last = BIT(3),
     .programs = {LEFT {ATTACH, END}, {SWEEP, END}, AFTER}},
    {.name = "crashed, attach and sweep", NAMES, .first = 2, .last = BIT(3),
     .programs = {CRASHED {ATTACH, END}, {SWEEP, END}, AFTER}},
    {.name = "crashed, 2 sweepers", NAMES, .first = 2, .last = BIT(3),
     .programs = {CRASHED {SWEEP, END}, {SWEEP, END}, AFTER}},
    {.name = "crashed, 2 enter", NAMES, .first = 2, .last = BIT(3),
     .programs = {CRASHED {ENTER, END}, {ENTER, END}, AFTER}},
    {.name = "in use, a sweeper, its owner leaves", NAMES, .first = 1, .last = BIT(2),
     .programs = {OWNED {SWEEP, END}, AFTER}},
    {.name = "2 unlink, 1 creates", NAMES, .first = 2, .last = BIT(4),
     .programs = {LEFT {UNLINK, END}, {UNLINK, END}, {CREATE, END}, AFTER}},
    {.name = "unlink, attach", NAMES, .first = 1, .last = BIT(3),
     .programs = {OWNED {UNLINK, END}, {ATTACH, END}, AFTER}},
    {.name = "a creator dies", NAMES, KILLS(1, 2, 0),
     .programs = {{CREATE, END}, {ENTER, END}, AFTER}},
    {.name = "a sweeper dies", NAMES, .first = 2, KILLS(1, 2, 0),
     .programs = {CRASHED {SWEEP, END}, AFTER}},
    {.name = "a sweeper dies, another attaches", NAMES, .first = 2, KILLS(1, 3, BIT(2)),
     .programs = {LEFT {SWEEP, END}, {ATTACH, END}, AFTER}},
    {.name = "crashed, one sweeps, one creates, kill 1", NAMES, .first = 2, KILLS(1, 3, 0),
     .programs = {CRASHED {SWEEP, END}, {CREATE, END}, AFTER}},
    {.name = "crashed, 2 sweep, one creates", NAMES, .first = 2, .last = BIT(4),
     .programs = {CRASHED {SWEEP, END}, {SWEEP, END}, {CREATE, END}, AFTER}},
    {.name = "crashed, 2 enter, kill 2", NAMES, .first = 2, KILLS(2, 3, 0),
     .programs = {CRASHED {ENTER, END}, {ENTER, END}, AFTER}},
    {.name = "in use, its owner leaves, attach and sweep, kill 1", NAMES, .first = 1,
     KILLS(1, 3, 0),
     .programs = {OWNED {ATTACH, END}, {SWEEP, END}, AFTER}},
    {.name = "unlink, sweep and create, kill 1", NAMES, .first = 2, KILLS(1, 4, 0),
     .programs = {CRASHED {UNLINK, END}, {SWEEP, END}, {CREATE, END}, AFTER}},
    {.name = "3 enter, kill 1", NAMES, KILLS(1, 3, 0),
     .programs = {{ENTER, END}, {ENTER, END}, {ENTER, END}, AFTER}},
    {.name = "enter, leave and sweep, 2 of them", NAMES, .last = BIT(2),
     .programs = {{ENTER, CLOSE_OWN, SWEEP, END}, {ENTER, CLOSE_OWN, SWEEP, END}, AFTER}},
    {.name = "create, unlink, create; attach, kill 1", NAMES, KILLS(1, 2, 0),
     .programs = {{CREATE, UNLINK, CLOSE_OWN, CREATE, END}, {ATTACH, END}, AFTER}},
    {.name = "entries of the dead, attach and sweep", NAMES_OF(1), .first = 2, .last = BIT(3),
     .programs = {CRASHED {ATTACH, CLOSE_OWN, END}, {SWEEP, END}, AFTER}},
    {.name = "entries of the dead, 2 attach, kill 1", NAMES_OF(2), .first = 2, KILLS(1, 3, 0),
     .programs = {CRASHED {ATTACH, CLOSE_OWN, END}, {ATTACH, CLOSE_OWN, END}, AFTER}},
    {.name = "no /proc: 2 creators", NAMES, .no_proc = BIT(0) | BIT(1), .last = BIT(2),
     .programs = {{CREATE, END}, {CREATE, END}, AFTER}},
    {.name = "no /proc: crashed, attach and sweep, kill 1", NAMES, .no_proc = 15, .first = 2,
     KILLS(1, 3, 0),
     .programs = {CRASHED {ATTACH, END}, {SWEEP, END}, AFTER}},
    {.name = "no /proc: enter, leave and sweep, 2 of them", NAMES, .no_proc = BIT(0),
     .last = BIT(2),
     .programs = {{ENTER, SWEEP, CLOSE_OWN, END}, {ENTER, SWEEP, CLOSE_OWN, END}, AFTER}},
    {.name = "no /proc: unlink, sweep and create", NAMES, .no_proc = 15, .first = 2,
     .last = BIT(4),
     .programs = {LEFT {UNLINK, END}, {SWEEP, END}, {CREATE, END}, AFTER}},
};
/* clang-format on */

const struct family names_family = {FAMILY("names", names), .part = 4};
