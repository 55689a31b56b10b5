/* SPDX-License-Identifier: MIT */
/* name.h - names of arenas: given, and removed from arenas that nobody uses.
 *
 * A name and the file behind it are two things: what was true of the checked file need not be
 * true of the file that has the name a moment later. Three rules keep them together:
 *  - a creator of an arena has joined it before it gets its name, which linkat() gives only if
 *    it is free. So a named arena that nobody uses is one that was left;
 *  - a process that removes the name of a file holds a lock of that very file (LOCK_NAME) and has
 *    seen that the name still leads to it. As nobody else may change the name meanwhile, the
 *    right name is removed;
 *  - an arena is closed to newcomers (participant.h) before its name is removed unasked. One that
 *    meets a closed arena removes its name in place of one that was killed on the way.
 *
 * Every wait for the lock ends: a process stopped with it blocks only this name. */
#ifndef TR_IPC_NAME_H
#define TR_IPC_NAME_H

#include "ipc/view.h"

/* Give the arena its name. 0, -EEXIST, -ENAMETOOLONG, -errno. */
int name_give(const struct view *view, const char *name);

/* Whether the name leads to this arena. */
bool name_leads_to(const struct view *view, const char *name);

/* Remove the name, whatever is behind it. 0, -ENOENT, -EBUSY: somebody else is about to,
 * -errno. @p pid: of that one, 0 if not known. */
int name_remove(const char *name, uint32_t *pid);

/* Remove the name if the arena is closed, or if nobody uses it; @p crashed: only if
 * somebody left without saying so, or it never was finished. 0; -ENOENT: there is none;
 * -EEXIST: it is in use, or can't be judged; -EBUSY, @p pid: as above; -errno. */
int name_sweep(const char *name, bool crashed, uint32_t *pid);

#endif
