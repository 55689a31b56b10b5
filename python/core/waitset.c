/* SPDX-License-Identifier: MIT */
/* waitset.c - the WaitSet type: many channels at once, or in an event loop. */
#include "core.h"

#include <tensoring/pool.h>
#include <tensoring/waitset.h>

#define ROOM 64 /* events taken in one call */

static void forget(void *handle)
{
    tr_waitset_close(handle);
}

static PyObject *waitset_open(PyObject *type, PyObject *args)
{
    State *state = state_of((PyTypeObject *)type);
    PyObject *arena;
    Shared *shared;
    tr_waitset *set;
    int code;

    if (!PyArg_ParseTuple(args, "O!:_open", state->arena_type, &arena))
        return NULL;
    shared = shared_of(arena);
    if (!shared)
        return NULL;
    code = tr_waitset_open(shared->arena, &set);
    if (code)
        return raise_code(state, code, "waitset");
    return channel_new((PyTypeObject *)type, state, shared, set, forget, NULL);
}

/* A channel lives as long as the set has it: self->needs is {token: hold}. */
static int keep(ChannelObject *self, PyObject *token, PyObject *channel)
{
    PyObject *hold;
    int code;

    if (!self->needs && !(self->needs = PyDict_New()))
        return -1;
    hold = channel_hold(channel);
    code = hold ? PyDict_SetItem(self->needs, token, hold) : -1;
    Py_XDECREF(hold);
    return code;
}

static int forget_token(ChannelObject *self, PyObject *token)
{
    if (!self->needs || !PyDict_Contains(self->needs, token))
        return 0;
    return PyDict_DelItem(self->needs, token);
}

static int add_channel(ChannelObject *self, ChannelObject *channel, unsigned int want,
                       uint64_t token)
{
    State *state = self->state;
    PyObject *object = (PyObject *)channel;

    if (PyObject_TypeCheck(object, state->subscription_type))
        return tr_waitset_add_subscription(self->handle, channel->handle, token);
    if (PyObject_TypeCheck(object, state->watch_type))
        return tr_waitset_add_watch(self->handle, channel->handle, token);
    if (PyObject_TypeCheck(object, state->broadcast_type))
        return tr_waitset_add_broadcast(self->handle, channel->handle, token);
    return tr_waitset_add_queue(self->handle, channel->handle, want, token);
}

/* _add_wanted(wanted, token): room for a loan. */
static PyObject *waitset_add_wanted(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    PyObject *wanted, *token, *channel;
    uint64_t number;
    int code;

    if (!PyArg_ParseTuple(args, "O!O:_add_wanted", self->state->wanted_type, &wanted,
                          &token))
        return NULL;
    number = PyLong_AsUnsignedLongLong(token);
    channel = wanted_channel(wanted);
    if (PyErr_Occurred() || !channel_is_open(self) ||
        (channel &&
         (!channel_is_open((ChannelObject *)channel) || keep(self, token, channel) < 0)))
        return NULL;
    code = wanted_add(self->state, wanted, self->handle, number);
    if (!code)
        Py_RETURN_NONE;
    if (forget_token(self, token) < 0)
        return NULL;
    return raise_code(self->state, code, "add");
}

/* _add(queue, broadcast, subscription or watch, want, token) */
static PyObject *waitset_add(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    PyObject *channel, *token;
    unsigned int want;
    uint64_t number;
    int code;

    if (!PyArg_ParseTuple(args, "OIO:_add", &channel, &want, &token))
        return NULL;
    if (!PyObject_TypeCheck(channel, self->state->queue_type) &&
        !PyObject_TypeCheck(channel, self->state->broadcast_type) &&
        !PyObject_TypeCheck(channel, self->state->subscription_type) &&
        !PyObject_TypeCheck(channel, self->state->watch_type))
        return PyErr_Format(PyExc_TypeError,
                            "a wait set waits for workers, broadcasts, queues, "
                            "subscriptions, watches and descriptors, not %R",
                            channel);
    number = PyLong_AsUnsignedLongLong(token);
    if (PyErr_Occurred() || !channel_is_open(self) ||
        !channel_is_open((ChannelObject *)channel) || keep(self, token, channel) < 0)
        return NULL;
    code = add_channel(self, (ChannelObject *)channel, want, number);
    if (!code)
        Py_RETURN_NONE;
    if (forget_token(self, token) < 0)
        return NULL;
    return raise_code(self->state, code, "add");
}

/* _add_worker(worker, token) */
static PyObject *waitset_add_worker(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    unsigned long long token;
    PyObject *worker;
    int code;

    if (!PyArg_ParseTuple(args, "O!K:_add_worker", self->state->worker_type, &worker,
                          &token) ||
        !channel_is_open(self))
        return NULL;
    code = tr_waitset_add_pool_worker(self->handle, worker_of(worker), token);
    if (code)
        return raise_code(self->state, code, "add");
    Py_RETURN_NONE;
}

static PyObject *waitset_add_replies(PyObject *object, PyObject *token)
{
    ChannelObject *self = (ChannelObject *)object;
    unsigned long long number = PyLong_AsUnsignedLongLong(token);
    int code;

    if (PyErr_Occurred() || !channel_is_open(self))
        return NULL;
    code = tr_waitset_add_replies(self->handle, number);
    if (code)
        return raise_code(self->state, code, "add");
    Py_RETURN_NONE;
}

static PyObject *waitset_add_fd(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    unsigned int want;
    unsigned long long token;
    int fd, code;

    if (!PyArg_ParseTuple(args, "iIK:_add_fd", &fd, &want, &token) ||
        !channel_is_open(self))
        return NULL;
    code = tr_waitset_add_fd(self->handle, fd, want, token);
    if (code)
        return raise_code(self->state, code, "add");
    Py_RETURN_NONE;
}

static PyObject *waitset_remove(PyObject *object, PyObject *number)
{
    ChannelObject *self = (ChannelObject *)object;
    unsigned long long token = PyLong_AsUnsignedLongLong(number);
    int code;

    if (PyErr_Occurred() || !channel_is_open(self))
        return NULL;
    code = tr_waitset_remove(self->handle, token);
    if (code)
        return raise_code(self->state, code, "remove");
    if (forget_token(self, number) < 0)
        return NULL;
    Py_RETURN_NONE;
}

typedef struct WaitCall {
    tr_waitset *set;
    tr_event events[ROOM];
    size_t count;
} WaitCall;

static int wait_op_of_set(void *arg, int64_t timeout_ns)
{
    WaitCall *call = arg;

    return tr_waitset_wait(call->set, call->events, ROOM, timeout_ns, &call->count);
}

/* wait(timeout) -> [(token, ready)] */
static PyObject *waitset_wait(PyObject *object, PyObject *seconds)
{
    ChannelObject *self = (ChannelObject *)object;
    WaitCall call = {.count = 0};
    int64_t timeout_ns;
    PyObject *events = NULL;
    int code;

    if (get_timeout(seconds, &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    call.set = self->handle;
    self->busy++;
    code = wait_in_slices(wait_op_of_set, &call, timeout_ns, object, TR_WAIT_READABLE);
    channel_leave(self);
    if (code && code != TR_EAGAIN && code != TR_ETIMEDOUT)
        return raise_code(self->state, code, "wait");
    events = PyList_New(0);
    for (size_t i = 0; events && !code && i < call.count; i++) {
        PyObject *event = Py_BuildValue("(KI)", (unsigned long long)call.events[i].token,
                                        call.events[i].ready);

        if (!event || PyList_Append(events, event) < 0)
            Py_CLEAR(events);
        Py_XDECREF(event);
    }
    return events;
}

static PyObject *waitset_fileno(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;
    int fd, code;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    code = tr_waitset_fd(self->handle, &fd);
    return code ? raise_code(self->state, code, "fileno") : PyLong_FromLong(fd);
}

static PyObject *waitset_backend(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    return PyUnicode_FromString(tr_waitset_backend(self->handle));
}

static PyGetSetDef waitset_getset[] = {
    {"backend", waitset_backend, NULL, "What is behind the descriptor.", NULL},
    {"closed", channel_closed, NULL, "Whether this handle, or its arena, is closed.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef waitset_methods[] = {
    {"_open", waitset_open, METH_VARARGS | METH_CLASS, NULL},
    {"_add", waitset_add, METH_VARARGS, NULL},
    {"_add_wanted", waitset_add_wanted, METH_VARARGS, NULL},
    {"_add_worker", waitset_add_worker, METH_VARARGS, NULL},
    {"_add_replies", waitset_add_replies, METH_O, NULL},
    {"_reply_next", waitset_reply_next, METH_NOARGS, NULL},
    {"_cancel", waitset_cancel, METH_O, NULL},
    {"_add_fd", waitset_add_fd, METH_VARARGS, NULL},
    {"_remove", waitset_remove, METH_O, NULL},
    {"_wait", waitset_wait, METH_O, NULL},
    {"fileno", waitset_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nReadable when something may be ready. Do not read from "
     "it."},
    {"close", channel_close, METH_NOARGS, "close($self, /)\n--\n\nForget the set."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot waitset_slots[] = {
    {Py_tp_doc, "Wait for many channels at once."},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_methods, waitset_methods},
    {Py_tp_getset, waitset_getset},
    {0, NULL},
};

PyType_Spec waitset_spec = {
    .name = "tensoring._core.WaitSet",
    .basicsize = sizeof(ChannelObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = waitset_slots,
};
