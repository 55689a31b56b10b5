/* SPDX-License-Identifier: MIT */
/* elastic_scene.h - an elastic arena, and what its slots have. */
#ifndef TR_TESTS_UNIT_ELASTIC_SCENE_H
#define TR_TESTS_UNIT_ELASTIC_SCENE_H

#include "support.h"

#include "src/message/message.h"
#include "tests/unit/records_bytes.h"

#define MIB (1 << 20)

static inline tr_arena_options options_of(const tr_slot_class *classes, uint32_t count)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;

    options.flags = TR_ARENA_ELASTIC;
    options.classes = classes;
    options.class_count = count;
    options.max_participants = 8;
    return options;
}

static inline tr_arena *make(const tr_arena_options *options)
{
    tr_arena *arena;

    assert_ok(tr_arena_create(NULL, options, &arena));
    return arena;
}

static inline tr_arena *make_elastic(uint64_t bytes, uint64_t count, uint32_t flags)
{
    tr_slot_class class = {bytes, count};
    tr_arena_options options = options_of(&class, 1);

    options.flags |= flags;
    return make(&options);
}

/* What the slots have. */
static inline uint64_t resident(tr_arena *arena)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;

    assert_ok(tr_arena_info_get(arena, &info));
    return info.resident_bytes - tables_bytes(&arena_known(arena)->view);
}

static inline tr_message *loan(tr_arena *arena, uint64_t bytes)
{
    tr_message *message;

    assert_ok(tr_message_loan_bytes(arena, bytes, TR_NOWAIT, &message));
    memset(tr_message_tensor(message, 0)->data, 7, bytes);
    return message;
}

#endif
