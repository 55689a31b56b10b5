/* SPDX-License-Identifier: MIT */
/* scenario_words.h - what the tables of scenarios are written in. */
#ifndef TR_TESTS_SCENARIO_WORDS_H
#define TR_TESTS_SCENARIO_WORDS_H

/* clang-format off */
#define END    {0, 0, 0}
#define LAST   {REAP, REAP, REAP, END}
#define BIT(i) (1u << (i))

/* At most n actors are killed: none of others (a bit set), and not the survivor, which reaps when
 * nobody else goes on. */
#define KILLS(n, survivor, others) \
    .kills = (n), .last = BIT(survivor), .immortal = BIT(survivor) | (others)

/* A channel of each kind, with the smallest capacity at which it wraps. */
#define NEWS  .kind = CHANNEL_BROADCAST, .channels = 1, .capacity = 2, .pins = 2, \
              .build = broadcast_build, .killed = shared_killed, .check = broadcast_check
#define BOARD .kind = CHANNEL_BOARD, .channels = 1, .capacity = 2, .pins = 2, \
              .build = board_build, .killed = shared_killed, .check = board_check
#define ASKING .channels = 3, .capacity = 1, .tickets = 4, .build = request_build, \
               .killed = request_killed, .check = request_check
#define ELASTIC .channels = 1, .capacity = 1, .max_deliveries = 200, \
                .build = elastic_build, .check = elastic_check
/* clang-format on */

#endif
