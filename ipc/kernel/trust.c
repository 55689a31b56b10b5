/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/trust.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A user may have 65536 groups. They may change between the two calls: then -1. */
static int our_groups(gid_t **groups)
{
    int count = getgroups(0, NULL);

    *groups = count > 0 ? malloc((size_t)count * sizeof(gid_t)) : NULL;
    return *groups ? getgroups(count, *groups) : 0;
}

static bool in_group(gid_t gid)
{
    gid_t *groups;
    int count = our_groups(&groups);
    bool found = gid == getegid();

    for (int i = 0; i < count && !found; i++)
        found = groups[i] == gid;
    free(groups);
    return found;
}

/* What one of our groups may write, but not everybody. */
bool trusted_by_group(const struct stat *st)
{
    return (st->st_mode & 062) == 060 && in_group(st->st_gid);
}

/* Whether the kernel lets us open for writing a file that is not ours. */
bool trusted_by_owner(const struct stat *st)
{
    mode_t bits = in_group(st->st_gid) ? 060 : 006;

    return geteuid() == 0 || (st->st_mode & bits) == bits;
}

bool trusted(const struct stat *st, struct segment_trust trust)
{
    return st->st_uid == geteuid() || st->st_uid == 0 || st->st_uid == trust.owner ||
           (trust.group && trusted_by_group(st));
}

#define UNKNOWN_USER 65534 /* kernel.overflowuid, unless somebody changed it */

/* The kernel grants it to the owner alone. */
static bool is_ours(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NOATIME) == 0;
}

bool trust_stands(int fd, const struct stat *st, struct segment_trust trust)
{
    return st->st_uid != UNKNOWN_USER || trust.owner == UNKNOWN_USER ||
           (trust.group && trusted_by_group(st)) || is_ours(fd);
}
