/* SPDX-License-Identifier: MIT */
/* orders.h - what becomes of the protocol when a memory order is weaker than it is. */
#ifndef TR_TESTS_ORDERS_H
#define TR_TESTS_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

uint32_t orders_edges(void);

/* Relax each edge at all its ends; at most @p most runs of a scenario. How many are caught. */
uint32_t orders_caught(uint64_t most, const char *only, bool verbose);

/* Relax one end of each. */
void orders_ends(uint64_t most, const char *only, bool verbose);

/* Make each seq_cst access that was met acquire, release or both. */
void orders_places(uint64_t most);

#endif
