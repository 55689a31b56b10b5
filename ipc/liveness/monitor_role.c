/* SPDX-License-Identifier: MIT */
#include "ipc/liveness/monitor_role.h"

/* Everything is relaxed here: nothing else is read or written because of it. */

static uint32_t packed(struct monitor_roles monitor_roles)
{
    return monitor_roles.primary | monitor_roles.backup << 16;
}

static struct monitor_roles without(struct monitor_roles monitor_roles, uint32_t who)
{
    if (monitor_roles.primary == who + 1)
        monitor_roles.primary = 0;
    if (monitor_roles.backup == who + 1)
        monitor_roles.backup = 0;
    return monitor_roles;
}

struct monitor_roles roles_seen(const struct view *view)
{
    /* relaxed: a hint; an old one costs a check. */
    uint32_t word = shm_load(&view_live(view)->monitor_roles, memory_order_relaxed);

    return (struct monitor_roles){.primary = word & 0xffff, .backup = word >> 16};
}

enum monitor_role monitor_role_of(struct monitor_roles monitor_roles, uint32_t who)
{
    return monitor_roles.primary == who + 1  ? MONITOR_PRIMARY
           : monitor_roles.backup == who + 1 ? MONITOR_BACKUP
                                             : MONITOR_NONE;
}

bool monitor_role_take(const struct view *view, struct monitor_roles monitor_roles,
                       enum monitor_role role, uint32_t who)
{
    uint32_t seen = packed(monitor_roles);

    monitor_roles = without(monitor_roles, who);
    if (role == MONITOR_PRIMARY)
        monitor_roles.primary = who + 1;
    else
        monitor_roles.backup = who + 1;
    /* relaxed: the word says all; nothing is read because of it. */
    return shm_cas(&view_live(view)->monitor_roles, &seen, packed(monitor_roles),
                   memory_order_relaxed);
}

void monitor_role_leave(const struct view *view, uint32_t who)
{
    struct monitor_roles monitor_roles = roles_seen(view);
    uint32_t seen = packed(monitor_roles);

    /* relaxed: the word says all. Once is enough: a change that comes between is found later. */
    if (monitor_role_of(monitor_roles, who) != MONITOR_NONE)
        shm_cas(&view_live(view)->monitor_roles, &seen,
                packed(without(monitor_roles, who)), memory_order_relaxed);
}
