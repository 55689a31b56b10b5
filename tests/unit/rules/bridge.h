/* SPDX-License-Identifier: MIT */
/* bridge.h - a bridge for rules_test.c: see there. */
#include "../own_name.h"
#include "../support.h"

static tr_arena *named; /* that of the bridge */

/* Its program is no bridge. */
static tr_bridge *start_bridge(void)
{
    tr_slot_class class = {4096, 1};
    tr_arena_options arena_options = TR_ARENA_OPTIONS_INIT;
    tr_bridge_options options = TR_BRIDGE_OPTIONS_INIT;
    tr_bridge *bridge;

    arena_options.classes = &class;
    arena_options.class_count = 1;
    assert_ok(tr_arena_create(NAME, &arena_options, &named));
    assert_ok(tr_arena_unlink(NAME));
    options.flags = TR_BRIDGE_PLAIN_TRUST_NETWORK;
    options.peer = "localhost:7411";
    options.program = "/bin/true";
    assert_ok(tr_bridge_start(named, &options, &bridge));
    return bridge;
}

static void end_bridge(tr_bridge *bridge)
{
    tr_bridge_close(bridge);
    tr_arena_close(named);
}
