/* SPDX-License-Identifier: MIT */
/* unforked.h - descriptors that hold a lock until all their copies are closed. A child that another
 * thread forks while we open one has a copy that it does not know of, and so never closes. */
#ifndef TR_IPC_UNFORKED_H
#define TR_IPC_UNFORKED_H

/* Between these two no thread of this process forks: fork() waits. vfork(), posix_spawn() and
 * clone() do not, whose children execute another program soon. */
void unforked_begin(void);
void unforked_end(void);

/* Call @p child in every child that is forked from now on. Once for each function, not between
 * the two above. */
void unforked_tell(void (*child)(void));

#endif
