/* SPDX-License-Identifier: MIT */
/* turn.c - the Turn type: a lock for "with turn as mine:", which does not wait.
 *
 * The handler of a signal runs between two steps of the interpreter, in the main thread, and may
 * raise. After lock.acquire(False) that leaves the lock taken for good. `with` takes this one and
 * notes in the same step that it must be given back. */
#include "core.h"

#include <pythread.h>

typedef struct TurnObject {
    PyObject_HEAD PyThread_type_lock lock;
    /* The interpreter's lock protects these two. */
    unsigned long owner;   /* the thread that has the lock, 0: none */
    unsigned long refused; /* blocks that the owner entered without getting it again */
} TurnObject;

static PyObject *turn_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    TurnObject *self;

    if (PyTuple_Size(args) || (kwargs && PyDict_Size(kwargs))) {
        PyErr_SetString(PyExc_TypeError, "Turn() takes no arguments");
        return NULL;
    }
    self = (TurnObject *)alloc(type, 0);
    if (!self)
        return NULL;
    self->lock = PyThread_allocate_lock();
    if (!self->lock) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void turn_dealloc(PyObject *object)
{
    TurnObject *self = (TurnObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

    if (self->lock)
        PyThread_free_lock(self->lock);
    release(object);
    Py_DECREF(type);
}

static PyObject *turn_enter(PyObject *object, PyObject *unused)
{
    TurnObject *self = (TurnObject *)object;
    unsigned long me = PyThread_get_thread_ident();
    bool mine = PyThread_acquire_lock(self->lock, NOWAIT_LOCK);

    (void)unused;
    if (mine)
        self->owner = me;
    else if (self->owner == me)
        self->refused++;
    return PyBool_FromLong(mine);
}

static PyObject *turn_exit(PyObject *object, PyObject *args)
{
    TurnObject *self = (TurnObject *)object;

    (void)args;
    if (self->owner != PyThread_get_thread_ident())
        Py_RETURN_NONE;
    if (self->refused) {
        self->refused--;
    } else {
        self->owner = 0;
        PyThread_release_lock(self->lock);
    }
    Py_RETURN_NONE;
}

/* is_mine(): whether this thread has it: what a signal's handler or the collector calls may find
 * that the code below it does. */
static PyObject *turn_is_mine(PyObject *object, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((TurnObject *)object)->owner == PyThread_get_thread_ident());
}

/* wait(seconds): until it is free, at most so long; it may be taken again by then. */
static PyObject *turn_wait(PyObject *object, PyObject *seconds)
{
    TurnObject *self = (TurnObject *)object;
    double wait = PyFloat_AsDouble(seconds);
    PyThreadState *gil;
    PyLockStatus got;

    if (wait == -1 && PyErr_Occurred())
        return NULL;
    if (wait > 0) {
        gil = PyEval_SaveThread();
        got = PyThread_acquire_lock_timed(
            self->lock, wait < 1e6 ? (PY_TIMEOUT_T)(wait * 1e6) : (PY_TIMEOUT_T)1e12, 1);
        if (got == PY_LOCK_ACQUIRED)
            PyThread_release_lock(self->lock);
        PyEval_RestoreThread(gil);
        if (got == PY_LOCK_INTR && PyErr_CheckSignals() < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef turn_methods[] = {
    {"__enter__", turn_enter, METH_NOARGS, NULL},
    {"__exit__", turn_exit, METH_VARARGS, NULL},
    {"is_mine", turn_is_mine, METH_NOARGS,
     "is_mine($self, /)\n--\n\nWhether this thread has it."},
    {"wait", turn_wait, METH_O,
     "wait($self, seconds, /)\n--\n\nUntil it is free, at most so long."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot turn_slots[] = {
    {Py_tp_doc, "A lock that an exception of a signal's handler does not leave taken."},
    {Py_tp_new, turn_new},
    {Py_tp_dealloc, turn_dealloc},
    {Py_tp_methods, turn_methods},
    {0, NULL},
};

PyType_Spec turn_spec = {
    .name = "tensoring._core.Turn",
    .basicsize = sizeof(TurnObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = turn_slots,
};
