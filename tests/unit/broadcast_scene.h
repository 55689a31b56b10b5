/* SPDX-License-Identifier: MIT */
/* broadcast_scene.h - a broadcast named "news", and its subscribers. */
#ifndef TR_TESTS_BROADCAST_SCENE_H
#define TR_TESTS_BROADCAST_SCENE_H

#include "tests/unit/support.h"

static inline tr_broadcast *open_broadcast(tr_arena *arena, uint32_t capacity,
                                           uint32_t keep)
{
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    tr_broadcast *broadcast;

    options.capacity = capacity;
    options.keep = keep;
    assert_ok(tr_broadcast_open(arena, "news", &options, &broadcast));
    return broadcast;
}

static inline tr_subscription *subscribe(tr_broadcast *broadcast, tr_lag lag,
                                         uint32_t last)
{
    tr_subscription_options options = TR_SUBSCRIPTION_OPTIONS_INIT;
    tr_subscription *subscription;

    options.lag = lag;
    options.last = last;
    assert_ok(tr_subscription_open(broadcast, &options, &subscription));
    return subscription;
}

#endif
