/* SPDX-License-Identifier: MIT */
/* owner.h - root acts for a service's user as that user.
 *
 * An arena that is mapped can be truncated and written to by its owner. Root reaps and sweeps it
 * in a child that has become the owner, and has only the owner's rights. */
#ifndef TR_CLI_OWNER_H
#define TR_CLI_OWNER_H

#include <stdbool.h>
#include <sys/stat.h>

/* Whether root should not touch this file as root. */
bool is_of_another(const struct stat *file);

/* Run @p work in a child that has become the owner of the file: its user, and the groups of it. A
 * child of the same user has its rights, and its death does not end us, as when writers of an
 * arena truncate it. What the work returns, 0 to 255; -1 after a complaint: it could not be
 * begun, or did not come to its end. What has been printed before is flushed. */
int as_owner(const struct stat *file, int (*work)(void *context), void *context);

#endif
