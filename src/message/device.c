/* SPDX-License-Identifier: MIT */
/* device.c - for programs that let devices write into slots. */
#include <tensoring/device.h>

#include <errno.h>

#include "ipc/exchange/owned.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/liveness/device.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/message/message.h"

int tr_arena_device_fd(tr_arena *given, int *fd)
{
    struct tr_arena *arena;
    int result = arena_open(given, "device", &arena), cancel;

    if (result == 0 && !fd)
        result = null_fail("device", "fd");
    if (result < 0)
        return result;
    cancel = uncancel_begin();
    result = device_lock_last(&arena->view, arena->self.who, arena->self.inc);
    uncancel_end(cancel);
    if (result == -ENOENT)
        return tr_fail(TR_ENOTSUP,
                       "device: the arena's file can't be opened again without "
                       "/proc: mount it");
    if (result < 0)
        return tr_fail_errno(result, "device: lock the place of this process's devices");
    *fd = result;
    return 0;
}

int tr_message_device_begin(tr_message *given)
{
    struct message *message;
    int result = message_writable(given, "device begin", &message);

    if (result < 0)
        return result;
    if (device_marked_here(&message->arena->view, message->slot))
        return tr_fail(TR_EINVAL, "device begin: the message is marked already");
    ASSERT_HELD(&message->arena->self, view_record(&message->arena->view, message->slot));
    device_mark(&message->arena->view, message->slot);
    return 0;
}

int tr_message_device_end(tr_message *given)
{
    struct message *message;
    int result = message_writable(given, "device end", &message);

    if (result < 0)
        return result;
    if (!device_marked_here(&message->arena->view, message->slot))
        return tr_fail(TR_EINVAL, "device end: the message is not marked");
    ASSERT_HELD(&message->arena->self, view_record(&message->arena->view, message->slot));
    device_unmark(&message->arena->view, message->slot);
    return 0;
}
