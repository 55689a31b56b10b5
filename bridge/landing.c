/* SPDX-License-Identifier: MIT */
#include "landing.h"

#include <stdlib.h>

#include "arriving.h"
#include "step.h"

static void free_with_slot(struct arrival *arrival)
{
    tr_message_release(arrival->slot);
    free(arrival);
}

void landing_leave(struct arrival *arrival)
{
    if (arrival->landings)
        arrival->left = true;
    else
        free_with_slot(arrival);
}

static void landed(void *context)
{
    struct arrival *arrival = context;

    step("landed");
    if (--arrival->landings == 0 && arrival->left)
        free_with_slot(arrival);
}

/* Where the byte @p offset of the payload lies, if the next @p bytes lie there, too. */
static uint8_t *find(const struct arrival *arrival, uint64_t offset, size_t bytes)
{
    for (uint32_t i = 0; i < arrival->message.count; i++) {
        const tr_tensor *tensor = tr_message_tensor(arrival->slot, i);

        if (offset < tensor->nbytes)
            return bytes <= tensor->nbytes - offset ? (uint8_t *)tensor->data + offset
                                                    : NULL;
        offset -= tensor->nbytes;
    }
    return NULL;
}

/* Each byte has a place once: what a chunk that comes again would write is not ours any more. */
static bool is_next(const struct arrival *arrival, uint64_t number, uint64_t offset)
{
    return arrival && arrival->message.number == number && offset >= arrival->placed &&
           offset >= arrival->come;
}

bool landing_place(struct lane *lane, struct wire_in *in, size_t bytes,
                   struct landing *landing)
{
    uint64_t number = wire_get_u64(in), offset = wire_get_u64(in);
    struct arrival *arrival = arrival_newest(lane);
    uint8_t *to;

    if (!wire_done(in) || !is_next(arrival, number, offset) || !arrival->slot)
        return false;
    to = find(arrival, offset, bytes);
    if (!to)
        return false;
    arrival->placed = offset + bytes;
    arrival->landings++;
    *landing = (struct landing){to, landed, arrival};
    return true;
}
