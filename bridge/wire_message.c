/* SPDX-License-Identifier: MIT */
#include "wire_message.h"

#include <stdlib.h>
#include <string.h>

uint64_t message_bytes(const tr_message *message)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < tr_message_count(message); i++)
        bytes += tr_message_tensor(message, i)->nbytes;
    return bytes;
}

static void put_tensor(struct wire_out *out, const tr_tensor *tensor)
{
    wire_put_u8(out, tensor->dtype.code);
    wire_put_u8(out, tensor->dtype.bits);
    wire_put_u16(out, tensor->dtype.lanes);
    wire_put_u32(out, tensor->flags & ~(uint32_t)TR_TENSOR_READ_ONLY);
    wire_put_u64(out, tensor->nbytes);
    wire_put_u8(out, (uint8_t)tensor->ndim);
    for (uint32_t i = 0; i < tensor->ndim; i++)
        wire_put_u64(out, (uint64_t)tensor->shape[i]);
    wire_put_text(out, tensor->name);
    wire_put_text(out, tensor->descr);
}

void wire_put_message(struct wire_out *out, uint32_t channel, const tr_message *message,
                      const tr_header *header, const tr_origin *origin, int64_t left_ns)
{
    uint64_t bytes = message_bytes(message);
    size_t count = tr_message_count(message);

    wire_begin(out, WIRE_MESSAGE);
    wire_put_u32(out, channel);
    wire_put_u32(out, (uint32_t)count);
    wire_put_u64(out, header->sequence);
    wire_put_u64(out, bytes);
    wire_put_u64(out, origin->source);
    wire_put_u64(out, origin->number);
    wire_put_u32(out, header->content);
    wire_put_u64(out, header->correlation_id);
    wire_put_u64(out, (uint64_t)left_ns);
    wire_put_u32(out, header->has_crc);
    wire_put_u32(out, header->crc32c);
    wire_put(out, header->user, TR_USER_BYTES);
    wire_put_text(out, header->content_type);
    for (size_t i = 0; i < count; i++)
        put_tensor(out, tr_message_tensor(message, i));
    if (bytes > WIRE_INLINE)
        return;
    for (size_t i = 0; i < count; i++)
        wire_put(out, tr_message_tensor(message, i)->data,
                 tr_message_tensor(message, i)->nbytes);
}

static void get_header(struct wire_in *in, tr_header *header)
{
    const char *type;

    *header = (tr_header)TR_HEADER_INIT;
    header->content = wire_get_u32(in);
    header->correlation_id = wire_get_u64(in);
    header->deadline_ns = (int64_t)wire_get_u64(in);
    header->has_crc = wire_get_u32(in);
    header->crc32c = wire_get_u32(in);
    wire_get(in, header->user, TR_USER_BYTES);
    type = wire_get_text(in);
    if (strlen(type) > TR_MAX_CONTENT_TYPE || header->deadline_ns < 0)
        in->failed = true;
    else
        memcpy(header->content_type, type, strlen(type) + 1);
}

static void get_tensor(struct wire_in *in, tr_tensor_spec *spec, int64_t *shape,
                       uint64_t *nbytes)
{
    *spec = (tr_tensor_spec){.shape = shape};
    spec->dtype.code = wire_get_u8(in);
    spec->dtype.bits = wire_get_u8(in);
    spec->dtype.lanes = wire_get_u16(in);
    spec->flags = wire_get_u32(in);
    *nbytes = wire_get_u64(in);
    spec->ndim = wire_get_u8(in);
    if (spec->ndim > TR_MAX_NDIM)
        in->failed = true;
    for (uint32_t i = 0; i < spec->ndim && !in->failed; i++)
        shape[i] = (int64_t)wire_get_u64(in);
    spec->name = wire_get_text(in);
    spec->descr = wire_get_text(in);
    if (strlen(spec->name) > TR_MAX_TENSOR_NAME || strlen(spec->descr) > TR_MAX_DESCR)
        in->failed = true;
}

/* The sizes must add up to what the message said, or a reader would wait for the rest. */
static void check_sizes(struct wire_in *in, const struct wire_message *message)
{
    uint64_t left = message->payload_bytes;

    for (uint32_t i = 0; i < message->count && !in->failed; i++) {
        if (message->nbytes[i] > left)
            in->failed = true;
        left -= message->nbytes[i];
    }
    if (left)
        in->failed = true;
}

static void get_tensors(struct wire_in *in, struct wire_message *message)
{
    int64_t(*shapes)[TR_MAX_NDIM];
    size_t each = sizeof(*message->specs) + sizeof(*shapes) + sizeof(*message->nbytes);

    /* 22 bytes at least are each tensor's: a short frame does not ask for much memory. */
    if (message->count > TR_MAX_TENSORS ||
        message->count > (size_t)(in->end - in->at) / 22) {
        in->failed = true;
        return;
    }
    message->specs = calloc(message->count + 1, each);
    if (!message->specs) {
        in->failed = true;
        return;
    }
    shapes = (void *)(message->specs + message->count);
    message->nbytes = (void *)(shapes + message->count);
    for (uint32_t i = 0; i < message->count && !in->failed; i++)
        get_tensor(in, &message->specs[i], shapes[i], &message->nbytes[i]);
}

bool wire_get_message(struct wire_in *in, struct wire_message *message)
{
    *message = (struct wire_message){.channel = wire_get_u32(in)};
    message->count = wire_get_u32(in);
    message->number = wire_get_u64(in);
    message->payload_bytes = wire_get_u64(in);
    message->origin = (tr_origin)TR_ORIGIN_INIT;
    message->origin.source = wire_get_u64(in);
    message->origin.number = wire_get_u64(in);
    get_header(in, &message->header);
    if (!in->failed)
        get_tensors(in, message);
    if (!in->failed)
        check_sizes(in, message);
    if (!in->failed && message->payload_bytes <= WIRE_INLINE) {
        message->payload = in->at;
        if (message->payload_bytes != (uint64_t)(in->end - in->at))
            in->failed = true;
        in->at = in->end;
    }
    if (wire_done(in))
        return true;
    wire_message_free(message);
    return false;
}

void wire_message_free(struct wire_message *message)
{
    free(message->specs);
    message->specs = NULL;
}
