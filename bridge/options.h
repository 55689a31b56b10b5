/* SPDX-License-Identifier: MIT */
/* options.h - what listen and connect are told. */
#ifndef TR_BRIDGE_OPTIONS_H
#define TR_BRIDGE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "hello.h"

#define MOST_UNCONFIRMED 1024 /* messages of a channel: a note knows more than that */

struct wanted {
    enum channel_kind kind;
    enum direction direction;
    const char *name;
    bool retries; /* a service that goes out: after a cut */
};

struct options {
    bool listens;
    const char *arena, *address; /* --bind, or --peer, without the name of the engine */
    const struct engine_calls *engine;
    const char *key, *peer_key, *allow;
    bool plain, trust_network, allow_pickle;
    uint32_t window; /* 0: not given */
    uint64_t window_bytes;
    uint32_t grace_s;
    const char *kept;  /* --kept, of a keeper; see kept.h */
    const char **cuts; /* --on-cut, as it was given */
    size_t cut_count;
    struct wanted *wanted;
    size_t count;
};

/* Ends the program with a usage message if the command line is wrong. */
struct options options_take(int argc, char **argv, bool listens);

#endif
