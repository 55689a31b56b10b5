/* SPDX-License-Identifier: MIT */
/* duty.h - who of those asleep looks for the dead: the watcher, often, and the deputy, who
 * looks after the watcher. Both stand in one word, so that nobody is both. Hints: should one
 * be wrong, somebody looks too often, or the next one finds that nobody has looked. */
#ifndef TR_IPC_DUTY_H
#define TR_IPC_DUTY_H

#include "ipc/view.h"

enum duty { DUTY_NONE, DUTY_WATCHER, DUTY_DEPUTY };

struct duties {
    uint32_t watcher, deputy; /* participant + 1; 0: nobody */
};

struct duties duties_seen(const struct view *view);

/* The duty of @p who, if any. */
enum duty duty_of(struct duties duties, uint32_t who);

/* Have @p duties changed to @p who in @p duty, and in no other. False: they have changed. */
bool duty_take(const struct view *view, struct duties duties, enum duty duty,
               uint32_t who);

/* Leave it free for another one. */
void duty_leave(const struct view *view, uint32_t who);

#endif
