/* SPDX-License-Identifier: MIT */
/* wait.c - every wait of the extension.
 *
 * The first try keeps the GIL: giving it up and taking it again costs as much as a whole
 * message. After that the GIL is free while waiting, and the wait is cut into slices, so
 * that a signal whose system call was restarted, or that came to another thread, is acted
 * upon within one slice. Handlers run before a slice, never after the last one: what they do
 * must not replace the detail of the failure.
 *
 * Each slice is a wait of the library, with a system call or more at its beginning and end.
 * A process that is idle for long has longer slices, so that it costs next to nothing.
 *
 * Under gevent the other greenlets of the thread run meanwhile, see _arena/greenlets.py. The
 * stack of a greenlet that waits is elsewhere then: only its own turns may use @p arg. */
#include "core.h"

#include <time.h>

#define LONGEST_SLICE_NS INT64_C(1600000000)

int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t next_slice(int64_t slice_ns)
{
    return slice_ns < LONGEST_SLICE_NS ? 2 * slice_ns : slice_ns;
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

/* Whether a process uses gevent at all: that is asked before each wait. */
bool has_gevent(void)
{
    static PyObject *name; /* local: under the GIL, and never freed */
    PyObject *modules = PyImport_GetModuleDict();

    if (!name)
        name = PyUnicode_InternFromString("gevent._hub_local");
    return name && modules && PyDict_GetItemWithError(modules, name);
}

/* 1: other greenlets of this thread ran, so it is worth to look again. 0: there are none.
 * -1 with an exception. */
static int let_greenlets_run(PyObject *what, unsigned int want, int64_t left_ns,
                             unsigned int turn)
{
    PyObject *module = PyImport_ImportModule("tensoring._arena.greenlets");
    PyObject *seconds = left_ns == INT64_MAX ? Py_NewRef(Py_None)
                                             : PyFloat_FromDouble((double)left_ns / 1e9);
    PyObject *ran = NULL;
    int truth;

    if (module && seconds)
        ran = PyObject_CallMethod(module, "wait", "OIOI", what ? what : Py_None, want,
                                  seconds, turn);
    truth = ran ? PyObject_IsTrue(ran) : -1;
    Py_XDECREF(ran);
    Py_XDECREF(seconds);
    Py_XDECREF(module);
    return truth;
}

int wait_for_greenlets(PyObject *what, unsigned int want, int64_t left_ns,
                       unsigned int turn)
{
    return has_gevent() ? let_greenlets_run(what, want, left_ns, turn) : 0;
}

void greenlets_forget(PyObject **wanted)
{
    PyObject *type, *value, *traceback, *module, *done;

    if (!*wanted)
        return;
    PyErr_Fetch(&type, &value, &traceback);
    module = PyImport_ImportModule("tensoring._arena.greenlets");
    done = module ? PyObject_CallMethod(module, "forget", "O", *wanted) : NULL;
    if (!done)
        PyErr_WriteUnraisable(*wanted);
    Py_XDECREF(done);
    Py_XDECREF(module);
    Py_CLEAR(*wanted);
    PyErr_Restore(type, value, traceback);
}

/* TR_EAGAIN: there are no greenlets that could run meanwhile. */
static int wait_beside(wait_op *op, void *arg, int64_t deadline_ns, PyObject *what,
                       unsigned int want)
{
    for (unsigned int turn = 0;; turn++) {
        int64_t left_ns = deadline_ns == INT64_MAX ? INT64_MAX : deadline_ns - now_ns();
        int ran, code;

        if (left_ns <= 0)
            return op(arg, 1); /* which says what is missing */
        ran = let_greenlets_run(what, want, left_ns, turn);
        if (ran <= 0)
            return ran < 0 ? RAISED : TR_EAGAIN;
        code = op(arg, TR_NOWAIT);
        if (code != TR_EAGAIN)
            return code;
    }
}

int wait_in_slices(wait_op *op, void *arg, int64_t timeout_ns, PyObject *what,
                   unsigned int want)
{
    int code = op(arg, TR_NOWAIT);
    int64_t slice_ns = SLICE_NS;
    int64_t deadline_ns;

    if (code != TR_EAGAIN || timeout_ns == TR_NOWAIT)
        return code;
    if (timeout_ns < 0 || __builtin_add_overflow(now_ns(), timeout_ns, &deadline_ns))
        deadline_ns = INT64_MAX;
    if (has_gevent()) {
        code = wait_beside(op, arg, deadline_ns, what, want);
        if (code != TR_EAGAIN)
            return code;
    }
    for (;;) {
        int64_t left_ns = deadline_ns == INT64_MAX ? slice_ns : deadline_ns - now_ns();

        if (left_ns <= 0)
            return TR_ETIMEDOUT;
        if (PyErr_CheckSignals() < 0)
            return RAISED;
        code = slice(op, arg, left_ns < slice_ns ? left_ns : slice_ns);
        if (code != TR_ETIMEDOUT && code != TR_EINTR && code != TR_EAGAIN)
            return code;
        slice_ns = next_slice(slice_ns);
    }
}
