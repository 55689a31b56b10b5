/* SPDX-License-Identifier: MIT */
/* wait.c - every wait of the extension.
 *
 * The first try keeps the GIL: giving it up and taking it again costs as much as a whole
 * message. After that the GIL is free while waiting, and the wait is cut into slices, so
 * that a signal whose system call was restarted, or that came to another thread, is acted
 * upon within one slice. Handlers run before a slice, never after the last one: what they do
 * must not replace the detail of the failure. */
#include "core.h"

#include <time.h>

int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int slice(wait_op *op, void *arg, int64_t timeout_ns)
{
    PyThreadState *gil;
    int code;

    gil = PyEval_SaveThread();
    code = op(arg, timeout_ns);
    PyEval_RestoreThread(gil);
    return code;
}

int wait_in_slices(wait_op *op, void *arg, int64_t timeout_ns)
{
    int code = op(arg, TR_NOWAIT);
    int64_t deadline_ns;

    if (code != TR_EAGAIN || timeout_ns == TR_NOWAIT)
        return code;
    if (timeout_ns < 0 || __builtin_add_overflow(now_ns(), timeout_ns, &deadline_ns))
        deadline_ns = INT64_MAX;
    for (;;) {
        int64_t left_ns = deadline_ns == INT64_MAX ? SLICE_NS : deadline_ns - now_ns();

        if (left_ns <= 0)
            return TR_ETIMEDOUT;
        if (PyErr_CheckSignals() < 0)
            return RAISED;
        code = slice(op, arg, left_ns < SLICE_NS ? left_ns : SLICE_NS);
        if (code != TR_ETIMEDOUT && code != TR_EINTR && code != TR_EAGAIN)
            return code;
    }
}
