/* SPDX-License-Identifier: MIT */
/* monitor_role.h - which of the sleeping participants checks for deaths: the primary does, often,
 * and the backup checks the primary. One word holds both, so that no participant is both. They
 * are hints: a stale one costs an extra check, or the next sleeper finds that nobody has
 * checked. */
#ifndef TR_IPC_MONITOR_ROLE_H
#define TR_IPC_MONITOR_ROLE_H

#include "ipc/view.h"

enum monitor_role { MONITOR_NONE, MONITOR_PRIMARY, MONITOR_BACKUP };

struct monitor_roles {
    uint32_t primary, backup; /* participant + 1; 0: nobody */
};

struct monitor_roles roles_seen(const struct view *view);

/* The role of participant @p who, if any. */
enum monitor_role monitor_role_of(struct monitor_roles monitor_roles, uint32_t who);

/* Give @p role to participant @p who, and take its other role away. False: the roles are not
 * @p monitor_roles any more. */
bool monitor_role_take(const struct view *view, struct monitor_roles monitor_roles,
                       enum monitor_role role, uint32_t who);

/* Give the role up, for another participant. */
void monitor_role_leave(const struct view *view, uint32_t who);

#endif
