/* SPDX-License-Identifier: MIT */
/* identity.h - random numbers on a board of an arena, which say that it still is the same arena,
 * and the same queue. */
#ifndef TR_BRIDGE_IDENTITY_H
#define TR_BRIDGE_IDENTITY_H

#include <tensoring/board.h>

#include "wire.h"

#define OWN_BOARD "tensoring.bridge" /* what bridges keep in an arena */

bool identity_same(const struct identity *one, const struct identity *other);
bool identity_none(const struct identity *one); /* all 0 */

/* The number under @p key, made if it is not there. 0, or a TR_E code. */
int identity_get(tr_board *board, const char *key, struct identity *out);

#endif
