/* SPDX-License-Identifier: MIT */
/* loan_needs.h - what a loan needs, for those that wait until it is there. */
#ifndef TR_SRC_LOAN_NEEDS_H
#define TR_SRC_LOAN_NEEDS_H

#include <tensoring/tensor.h>

#include "src/arena/arena.h"

struct loan_needs {
    uint64_t bytes; /* of memory, in an elastic arena */
    uint32_t class; /* the smallest one that fits */
};

/* What a message of @p specs needs. 0; as tr_message_loan(), where it can never be loaned. */
int loan_needs_of(const struct tr_arena *arena, const tr_tensor_spec specs[], size_t n,
                  struct loan_needs *needs);

/* Whether a loan would find that now. */
bool loan_needs_met(const struct tr_arena *arena, const struct loan_needs *needs);

#endif
