/* SPDX-License-Identifier: MIT */
/* trust.h - the users whose files a process trusts. */
#ifndef TR_IPC_TRUST_H
#define TR_IPC_TRUST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* The users whose files an attach by name trusts, besides ourselves and root. */
struct segment_trust {
    uint32_t owner; /* that user's, too; UINT32_MAX: nobody else's */
    bool group;     /* what one of our groups may write, and not everybody */
};
#define TRUST_OWN ((struct segment_trust){.owner = UINT32_MAX})

/* Our own file, root's, and what @p trust names. Not a file of a user that took the name first,
 * even if we could open it. */
bool trusted(const struct stat *st, struct segment_trust trust);

/* Whether a trusted file that was opened really has that owner. A user namespace shows all
 * users that it does not have by one number, which may be ours, too. */
bool trust_stands(int fd, const struct stat *st, struct segment_trust trust);

/* Whether we could use a file that is not trusted, if its owner or its group were. */
bool trusted_by_owner(const struct stat *st);
bool trusted_by_group(const struct stat *st);

#endif
