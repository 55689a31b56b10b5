/* SPDX-License-Identifier: MIT */
/* monitor_role.h - who of those asleep looks for the dead: the primary, often, and the backup, who
 * looks after the primary. Both stand in one word, so that nobody is both. Hints: should one
 * be wrong, somebody looks too often, or the next one finds that nobody has looked. */
#ifndef TR_IPC_MONITOR_ROLE_H
#define TR_IPC_MONITOR_ROLE_H

#include "ipc/view.h"

enum monitor_role { MONITOR_NONE, MONITOR_PRIMARY, MONITOR_BACKUP };

struct monitor_roles {
    uint32_t primary, backup; /* participant + 1; 0: nobody */
};

struct monitor_roles roles_seen(const struct view *view);

/* The role of @p who, if any. */
enum monitor_role monitor_role_of(struct monitor_roles monitor_roles, uint32_t who);

/* Have @p roles changed to @p who in @p role, and in no other. False: they have changed. */
bool monitor_role_take(const struct view *view, struct monitor_roles monitor_roles,
                       enum monitor_role role, uint32_t who);

/* Leave it free for another one. */
void monitor_role_leave(const struct view *view, uint32_t who);

#endif
