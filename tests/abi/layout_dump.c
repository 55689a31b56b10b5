/* SPDX-License-Identifier: MIT */
/* layout_dump.c - offset and size of every field that processes share, one a line.
 * tests/abi/layout.sh compares it with layout.golden and finds fields left out here. */
#include <stdio.h>

#include "ipc/layout.h"

#define SIZE(type) printf("%s: %zu bytes\n", #type, sizeof(struct type))
#define FIELD(type, field)                                                 \
    printf("%s.%s %zu %zu\n", #type, #field, offsetof(struct type, field), \
           sizeof(((struct type *)0)->field))

static void dump_slot_class(void)
{
    SIZE(slot_class);
    FIELD(slot_class, slot_bytes);
    FIELD(slot_class, stride);
    FIELD(slot_class, payload_off);
    FIELD(slot_class, first_slot);
    FIELD(slot_class, count);
}

static void dump_control(void)
{
    SIZE(control);
    FIELD(control, magic);
    FIELD(control, layout);
    FIELD(control, creator_uid);
    FIELD(control, features);
    FIELD(control, total_bytes);
    FIELD(control, nonce);
    FIELD(control, participants_off);
    FIELD(control, pins_off);
    FIELD(control, channels_off);
    FIELD(control, rings_off);
    FIELD(control, records_off);
    FIELD(control, payload_off);
    FIELD(control, rings_bytes);
    FIELD(control, flags);
    FIELD(control, class_count);
    FIELD(control, participant_count);
    FIELD(control, channel_count);
    FIELD(control, slot_count);
    FIELD(control, pin_count);
    FIELD(control, pin_stride);
    FIELD(control, eventfd_count);
    FIELD(control, reserved);
    FIELD(control, classes);
    FIELD(control, pad);
}

static void dump_class_words(void)
{
    SIZE(class_words);
    FIELD(class_words, freed);
    FIELD(class_words, last);
}

static void dump_live(void)
{
    SIZE(live);
    FIELD(live, counters);
    FIELD(live, rings_used);
    FIELD(live, watched_ns);
    FIELD(live, watcher);
    FIELD(live, copy_routine);
    FIELD(live, populate_ns);
    FIELD(live, classes);
}

static void dump_participant(void)
{
    SIZE(participant);
    FIELD(participant, word);
    FIELD(participant, pid);
    FIELD(participant, uid);
    FIELD(participant, start_time);
    FIELD(participant, pid_ns);
    FIELD(participant, joined_ns);
    FIELD(participant, cpus);
    FIELD(participant, reserved);
    FIELD(participant, doorbell);
    FIELD(participant, notify);
    FIELD(participant, inbox);
    FIELD(participant, rung);
    FIELD(participant, notify_reserved);
    FIELD(participant, counters);
}

static void dump_channel(void)
{
    SIZE(channel);
    FIELD(channel, word);
    FIELD(channel, ring_off);
    FIELD(channel, ring_bytes);
    FIELD(channel, capacity);
    FIELD(channel, policy);
    FIELD(channel, max_deliveries);
    FIELD(channel, stamp);
    FIELD(channel, closed);
    FIELD(channel, orphans);
    FIELD(channel, reserved);
    FIELD(channel, name);
    FIELD(channel, tail);
    FIELD(channel, head);
    FIELD(channel, items);
    FIELD(channel, items_turn);
    FIELD(channel, items_listeners);
    FIELD(channel, room);
    FIELD(channel, room_turn);
    FIELD(channel, room_listeners);
    FIELD(channel, extra);
    FIELD(channel, groups);
}

static void dump_tensor_words(void)
{
    SIZE(tensor_words);
    FIELD(tensor_words, type);
    FIELD(tensor_words, offset);
    FIELD(tensor_words, nbytes);
    FIELD(tensor_words, text);
    FIELD(tensor_words, shape);
}

static void dump_slot_record(void)
{
    SIZE(slot_record);
    FIELD(slot_record, owner);
    FIELD(slot_record, where);
    FIELD(slot_record, tensors);
    FIELD(slot_record, crc32c);
    FIELD(slot_record, correlation_id);
    FIELD(slot_record, deadline_ns);
    FIELD(slot_record, published_ns);
    FIELD(slot_record, reply_to);
    FIELD(slot_record, first);
    FIELD(slot_record, user);
    FIELD(slot_record, content_type);
    FIELD(slot_record, name);
    FIELD(slot_record, descr);
    FIELD(slot_record, resident);
    FIELD(slot_record, shared_at);
    FIELD(slot_record, reply_code);
    FIELD(slot_record, reserved);
}

static void dump_subscriber(void)
{
    SIZE(subscriber);
    FIELD(subscriber, word);
    FIELD(subscriber, cursor);
    FIELD(subscriber, missed);
    FIELD(subscriber, subscriber_reserved);
}

static void dump_board_key(void)
{
    SIZE(board_key);
    FIELD(board_key, word);
    FIELD(board_key, cell);
    FIELD(board_key, key_reserved);
    FIELD(board_key, key);
}

int main(void)
{
    printf("layout %d\n", ARENA_LAYOUT);
    dump_slot_class();
    dump_control();
    dump_class_words();
    dump_live();
    dump_participant();
    dump_channel();
    dump_tensor_words();
    dump_slot_record();
    dump_subscriber();
    dump_board_key();
    return 0;
}
