/* SPDX-License-Identifier: MIT */
/* identity.h - numbers that say that it still is the same arena, and the same queue. They are made
 * of the random number of the arena, so they take nothing of its memory, and one of them does not
 * tell the others. */
#ifndef TR_BRIDGE_IDENTITY_H
#define TR_BRIDGE_IDENTITY_H

#include "wire.h"

#define OWN_BOARD "tensoring.bridge" /* what bridges keep in an arena */

bool identity_same(const struct identity *one, const struct identity *other);
bool identity_none(const struct identity *one); /* all 0 */

/* That of the arena with this number (tr_arena_info.nonce), or of a channel in it: @p kind and
 * @p name, which are "" for the arena itself. */
struct identity identity_make(uint64_t nonce, const char *kind, const char *name);

/* The same in 64 bits, not 0: the source of an origin. */
uint64_t identity_short(const struct identity *one);

#endif
