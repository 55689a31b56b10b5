/* SPDX-License-Identifier: MIT */
#include "hello.h"

#include <stdlib.h>

enum { LEAST_BYTES = 1 + 1 + 1 + 4 + 8 + 16 + 3 + 3 }; /* of a channel */

void wire_put_hello(struct wire_out *out, enum wire_type type, const struct hello *hello)
{
    wire_begin(out, type);
    wire_put(out, &hello->arena, sizeof(hello->arena));
    wire_put_u32(out, hello->layout);
    wire_put_u32(out, hello->flags);
    wire_put_u64(out, hello->largest);
    wire_put_text(out, hello->where);
    wire_put_u32(out, hello->count);
    for (uint32_t i = 0; i < hello->count; i++) {
        const struct hello_channel *channel = &hello->channels[i];

        wire_put_u8(out, channel->kind);
        wire_put_u8(out, channel->direction);
        wire_put_u8(out, channel->verdict);
        wire_put_u32(out, channel->window);
        wire_put_u64(out, channel->window_bytes);
        wire_put(out, &channel->source, sizeof(channel->source));
        wire_put_text(out, channel->name);
        wire_put_text(out, channel->why ? channel->why : "");
    }
}

static void get_channel(struct wire_in *in, struct hello_channel *channel)
{
    channel->kind = wire_get_u8(in);
    channel->direction = wire_get_u8(in);
    channel->verdict = wire_get_u8(in);
    channel->window = wire_get_u32(in);
    channel->window_bytes = wire_get_u64(in);
    wire_get(in, &channel->source, sizeof(channel->source));
    channel->name = wire_get_text(in);
    channel->why = wire_get_text(in);
}

bool wire_get_hello(struct wire_in *in, struct hello *hello)
{
    *hello = (struct hello){0};
    wire_get(in, &hello->arena, sizeof(hello->arena));
    hello->layout = wire_get_u32(in);
    hello->flags = wire_get_u32(in);
    hello->largest = wire_get_u64(in);
    hello->where = wire_get_text(in);
    hello->count = wire_get_u32(in);
    if (in->failed || hello->count > WIRE_MAX_CHANNELS ||
        hello->count > (size_t)(in->end - in->at) / LEAST_BYTES)
        return false;
    hello->channels = calloc(hello->count + 1, sizeof(*hello->channels));
    for (uint32_t i = 0; hello->channels && i < hello->count; i++)
        get_channel(in, &hello->channels[i]);
    if (hello->channels && wire_done(in))
        return true;
    hello_free(hello);
    return false;
}

void hello_free(struct hello *hello)
{
    free(hello->channels);
    hello->channels = NULL;
}
