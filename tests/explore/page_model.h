/* SPDX-License-Identifier: MIT */
/* page_model.h - the pages of an elastic arena's file, which come and go: as the kernel has them. */
#ifndef TR_TESTS_PAGE_MODEL_H
#define TR_TESTS_PAGE_MODEL_H

#include "tests/explore/world.h"

/* The pages of this range are there from now on, or no longer. */
void page_change(uint64_t off, uint64_t bytes, bool there);

/* Whether the page of payloads at @p off is there. */
bool page_there(uint64_t off);

/* An access to the arena: why it is wrong, NULL if it is none to a hole. */
const char *page_access(const void *at);

/* Local hints that decide what comes next. */
uint64_t page_hash(uint64_t hash, const struct self *self);

#endif
