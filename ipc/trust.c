/* SPDX-License-Identifier: MIT */
#include "ipc/trust.h"

#include <unistd.h>

static bool in_group(gid_t gid)
{
    gid_t groups[256];
    int count = getgroups(256, groups);

    for (int i = 0; i < count; i++)
        if (groups[i] == gid)
            return true;
    return gid == getegid();
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
