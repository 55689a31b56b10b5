/* SPDX-License-Identifier: MIT */
/* broadcast_make.c - how a broadcast lies in its channel. */
#include <errno.h>

#include "ipc/exchange/broadcast.h"

#define MAX_CELLS 131072

static void build(const struct view *view, struct channel *channel, uint8_t *ring,
                  uint32_t capacity)
{
    (void)view;
    (void)ring;
    (void)capacity;
    shm_put(&channel->extra[BROADCAST_USED], 0); /* of a maker that died */
}

/* Power of 2, more than the lag. */
static uint32_t cells_for(uint32_t lag)
{
    uint32_t cells = 2;

    while (cells <= lag)
        cells *= 2;
    return cells;
}

static uint64_t cell_bytes(uint32_t cells)
{
    return (UINT64_C(8) * cells + ARENA_LINE - 1) / ARENA_LINE * ARENA_LINE;
}

int broadcast_view(const struct view *view, uint32_t index, struct broadcast *out)
{
    struct channel *channel = view_channel(view, index);
    uint32_t count = shm_get(&channel->capacity);
    uint64_t bytes, places = shm_get(&channel->max_deliveries);
    uint8_t *ring = channel_bytes(view, index, &bytes);

    if (!ring || count < 2 || count > MAX_CELLS || (count & (count - 1)) || places < 1 ||
        places > MAX_SUBSCRIBERS ||
        bytes < cell_bytes(count) + places * sizeof(struct subscriber))
        return -EBADMSG;
    *out = (struct broadcast){
        .view = view,
        .channel = channel,
        .cells = (_Atomic uint64_t *)(void *)ring,
        .places = (struct subscriber *)(void *)(ring + cell_bytes(count)),
        .index = index,
        .count = count,
        .shift = __builtin_ctz(count),
        .place_count = (uint32_t)places,
        .keep = shm_get(&channel->policy),
    };
    return 0;
}

void broadcast_channel_spec(const struct broadcast_spec *spec,
                            struct channel_spec *channel)
{
    uint32_t cells = cells_for(spec->lag);

    *channel = (struct channel_spec){
        .name = spec->name,
        .kind = CHANNEL_BROADCAST,
        .capacity = cells,
        .ring_bytes = cell_bytes(cells) + spec->places * sizeof(struct subscriber),
        .policy = spec->keep,
        .max_deliveries = spec->places,
        .stamp = spec->stamp,
        .build = build,
    };
}
