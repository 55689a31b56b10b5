/* SPDX-License-Identifier: MIT */
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

static bool make_room(struct wire_out *out, size_t count)
{
    size_t room = out->room ? out->room : 256;
    uint8_t *bytes;

    if (out->failed || count > SIZE_MAX / 4 - out->used)
        return !(out->failed = true);
    if (out->used + count <= out->room)
        return true;
    while (room < out->used + count)
        room *= 2;
    bytes = realloc(out->bytes, room);
    if (!bytes)
        return !(out->failed = true);
    out->bytes = bytes;
    out->room = room;
    return true;
}

void wire_put(struct wire_out *out, const void *bytes, size_t count)
{
    if (!make_room(out, count))
        return;
    if (count)
        memcpy(out->bytes + out->used, bytes, count);
    out->used += count;
}

static void put_number(struct wire_out *out, uint64_t value, size_t count)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    wire_put(out, bytes, count);
}

void wire_put_u8(struct wire_out *out, uint8_t value)
{
    put_number(out, value, 1);
}

void wire_put_u16(struct wire_out *out, uint16_t value)
{
    put_number(out, value, 2);
}

void wire_put_u32(struct wire_out *out, uint32_t value)
{
    put_number(out, value, 4);
}

void wire_put_u64(struct wire_out *out, uint64_t value)
{
    put_number(out, value, 8);
}

void wire_put_text(struct wire_out *out, const char *text)
{
    size_t count = strnlen(text, UINT16_MAX);

    wire_put_u16(out, (uint16_t)count);
    wire_put(out, text, count);
    wire_put_u8(out, 0);
}

void wire_begin(struct wire_out *out, enum wire_type type)
{
    out->used = 0;
    out->failed = false;
    wire_put(out, step_magic(), 4);
    wire_put_u16(out, step_version(WIRE_VERSION));
    wire_put_u8(out, (uint8_t)type);
    wire_put_u8(out, 0);
}

void wire_free(struct wire_out *out)
{
    free(out->bytes);
    *out = (struct wire_out){0};
}

static bool has(struct wire_in *in, size_t count)
{
    if (in->failed || count > (size_t)(in->end - in->at))
        in->failed = true;
    return !in->failed;
}

void wire_get(struct wire_in *in, void *bytes, size_t count)
{
    if (!has(in, count)) {
        memset(bytes, 0, count);
        return;
    }
    memcpy(bytes, in->at, count);
    in->at += count;
}

static uint64_t get_number(struct wire_in *in, size_t count)
{
    uint8_t bytes[8];
    uint64_t value = 0;

    wire_get(in, bytes, count);
    for (size_t i = 0; i < count; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

uint8_t wire_get_u8(struct wire_in *in)
{
    return (uint8_t)get_number(in, 1);
}

uint16_t wire_get_u16(struct wire_in *in)
{
    return (uint16_t)get_number(in, 2);
}

uint32_t wire_get_u32(struct wire_in *in)
{
    return (uint32_t)get_number(in, 4);
}

uint64_t wire_get_u64(struct wire_in *in)
{
    return get_number(in, 8);
}

const char *wire_get_text(struct wire_in *in)
{
    size_t count = wire_get_u16(in);
    const uint8_t *text = in->at;

    if (!has(in, count + 1))
        return "";
    in->at += count + 1;
    if (text[count] != 0 || memchr(text, 0, count)) {
        in->failed = true;
        return "";
    }
    return (const char *)text;
}

enum wire_type wire_open(struct wire_in *in, const void *bytes, size_t count,
                         const char **why)
{
    static char text[96];
    char magic[4];
    uint16_t version;
    uint8_t type;

    *in = (struct wire_in){.at = bytes, .end = (const uint8_t *)bytes + count};
    *why = text;
    wire_get(in, magic, 4);
    version = wire_get_u16(in);
    type = wire_get_u8(in);
    (void)wire_get_u8(in);
    if (in->failed || memcmp(magic, step_magic(), 4) != 0) {
        *why = "it is not a bridge: the first bytes are not its magic";
        return WIRE_NOTHING;
    }
    if (version != step_version(WIRE_VERSION)) {
        snprintf(text, sizeof(text), "it speaks wire version %u, this bridge speaks %u",
                 version, step_version(WIRE_VERSION));
        return WIRE_NOTHING;
    }
    *why = "it sent a frame of an unknown type";
    return type >= WIRE_HELLO && type <= WIRE_FAULT ? (enum wire_type)type : WIRE_NOTHING;
}

bool wire_done(const struct wire_in *in)
{
    return !in->failed && in->at == in->end;
}
