/* SPDX-License-Identifier: MIT */
/* wire_fuzz.c - any bytes as a frame of a bridge: what is accepted obeys the rules of wire.h, and
 * what it points to lies in the frame. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "hello.h"
#include "wire_message.h"

static void inside(const void *at, size_t count, const uint8_t *data, size_t size)
{
    const uint8_t *from = at;

    HOLDS(count == 0 || (from >= data && count <= size && from + count <= data + size));
}

static void check_text(const char *text, const uint8_t *data, size_t size)
{
    inside(text, strlen(text) + 1, data, size);
}

static void check_message(struct wire_in *in, const uint8_t *data, size_t size)
{
    struct wire_message message;
    uint64_t bytes = 0;

    if (!wire_get_message(in, &message))
        return;
    HOLDS(message.count <= TR_MAX_TENSORS);
    HOLDS(message.header.deadline_ns >= 0);
    HOLDS(memchr(message.header.content_type, 0, sizeof(message.header.content_type)));
    for (uint32_t i = 0; i < message.count; i++) {
        HOLDS(message.specs[i].ndim <= TR_MAX_NDIM);
        check_text(message.specs[i].name, data, size);
        check_text(message.specs[i].descr, data, size);
        bytes += message.nbytes[i];
    }
    HOLDS(bytes == message.payload_bytes);
    if (message.payload)
        inside(message.payload, message.payload_bytes, data, size);
    wire_message_free(&message);
}

static void check_hello(struct wire_in *in, const uint8_t *data, size_t size)
{
    struct hello hello;

    if (!wire_get_hello(in, &hello))
        return;
    HOLDS(hello.count <= WIRE_MAX_CHANNELS);
    check_text(hello.where, data, size);
    for (uint32_t i = 0; i < hello.count; i++) {
        check_text(hello.channels[i].name, data, size);
        check_text(hello.channels[i].why, data, size);
    }
    hello_free(&hello);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why;
    struct wire_in in;
    enum wire_type type = wire_open(&in, data, size, &why);

    HOLDS(type != WIRE_NOTHING || strlen(why));
    if (type == WIRE_MESSAGE)
        check_message(&in, data, size);
    else if (type == WIRE_HELLO || type == WIRE_WELCOME)
        check_hello(&in, data, size);
    return 0;
}
