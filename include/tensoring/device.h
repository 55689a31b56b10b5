/* SPDX-License-Identifier: MIT */
/* device.h - slots that a GPU, a NIC or another device writes into.
 *
 * When a process ends, the kernel does not wait for what a device still has to do for it. The
 * slots that the dead process held go to others, and what the device writes then lands in their
 * messages. A program that registers the memory of an arena with a driver (tr_arena_info.base)
 * keeps to three rules:
 *
 *  1. Open tr_arena_device_fd(), keep it open as long as the driver may use the memory, and close
 *     it after the driver's own descriptors. At the end of the process the kernel does the same:
 *     it lets go of this descriptor after all others, whatever their numbers.
 *  2. Mark a message with tr_message_device_begin() before the device is told of it, and take the
 *     mark away with tr_message_device_end() when the device is done. Only then send or release
 *     it: the mark ends with that.
 *  3. A driver whose release of its descriptor does not stop the device needs a copy of this
 *     descriptor that it keeps until the device has stopped.
 *
 * In a TR_ARENA_LAZY arena do not call tr_arena_trim() while memory is registered: a driver keeps
 * the pages that it has pinned, and the slots get others. A TR_ARENA_ELASTIC arena gives memory of
 * free slots back by itself: register what a message has after the loan, and end that before
 * the message is sent or released.
 *
 * If the process dies, its marked messages wait until the descriptor and all its copies are
 * closed; then they are freed, or delivered again, as if it had died at that time. All else that
 * it held is taken over at once. Its place among the participants is free after that. A forked
 * child inherits the descriptor: close it there, or let it execute another program (it is closed
 * on exec).
 *
 * tr_loader_run() does all this for its own reads. */
#ifndef TENSORING_DEVICE_H
#define TENSORING_DEVICE_H

#include <tensoring/message.h>

TR_BEGIN_DECLS

/**
 * A descriptor that stands for the devices that use the arena for this process. Any number of
 * them may be open at a time.
 * @return 0, TR_EINVAL, TR_ENFILE, TR_EACCES (the process has given up the rights to the arena's
 *         file), TR_ENOTSUP (there is no /proc), TR_EIO (the program has closed the arena's
 *         descriptor, or the kernel has no lock to give), and what joining in a forked child
 *         returns.
 * Owner:   the caller: close(). Threads: any. Syscalls: some.
 * Crash:   see above.
 */
TR_API TR_CHECK int tr_arena_device_fd(tr_arena *arena, int *fd);

/**
 * A device may write into the message from now on. It must be owned by this process: loaned, or
 * received from a queue. Messages that are shared with other readers need no mark: no device may
 * write into them.
 * @return 0, TR_EINVAL (not owned, or marked already), TR_EFORK, TR_EABANDONED (as
 *         tr_arena_reap()).
 * Threads: one. Progress: wait-free. Syscalls: none. Crash: see above.
 */
TR_API TR_CHECK int tr_message_device_begin(tr_message *message);

/** The device is done with the message.
 *  @return 0, TR_EINVAL (not owned, or not marked), TR_EFORK, TR_EABANDONED (as tr_arena_reap()).
 *  Threads: one. Progress: wait-free. Syscalls: none. Crash: see above. */
TR_API TR_CHECK int tr_message_device_end(tr_message *message);

TR_END_DECLS
#endif
