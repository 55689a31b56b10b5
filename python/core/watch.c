/* SPDX-License-Identifier: MIT */
/* watch.c - the Watch type: the versions of one key, as they come. */
#include "core.h"

#include <tensoring/board.h>

static void forget(void *handle)
{
    tr_board_watch_close(handle);
}

static PyObject *watch_open(PyObject *type, PyObject *args)
{
    State *state = state_of((PyTypeObject *)type);
    uint64_t newer_than;
    tr_board_watch *watch;
    ChannelObject *board;
    PyObject *object;
    const char *key;
    int code;

    if (!PyArg_ParseTuple(args, "O!sO&:_open", state->board_type, &object, &key, to_u64,
                          &newer_than))
        return NULL;
    board = (ChannelObject *)object;
    if (!channel_is_open(board))
        return NULL;
    code = tr_board_watch_open(board->handle, key, newer_than, &watch);
    if (code)
        return raise_code(state, code, "watch");
    return channel_new((PyTypeObject *)type, state, board->shared, watch, forget, object);
}

typedef struct NextCall {
    ChannelObject *watch;
    tr_board_watch *handle;
    tr_message *message;
    uint64_t version;
} NextCall;

static int next_op(void *arg, int64_t timeout_ns)
{
    NextCall *call = arg;

    if (call->watch->closing)
        return CLOSED_HERE;
    return tr_board_watch_next(call->handle, timeout_ns, &call->message, &call->version);
}

static PyObject *decoded(ChannelObject *self, NextCall *call)
{
    PyObject *value = decode_message(self->state, self->shared, call->message);

    return value ? Py_BuildValue("(NK)", value, (unsigned long long)call->version) : NULL;
}

/* _next(timeout) -> (object, version) */
static PyObject *watch_next(PyObject *object, PyObject *timeout)
{
    ChannelObject *self = (ChannelObject *)object;
    NextCall call = {.watch = self, .handle = self->handle};
    int64_t timeout_ns;
    PyObject *found;
    int code;

    if (get_timeout(timeout, &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    self->busy++;
    code = wait_in_slices(next_op, &call, timeout_ns, object, TR_WAIT_READABLE);
    found = code ? raise_code(self->state, code, "receive") : decoded(self, &call);
    channel_leave(self);
    return found;
}

/* _take(default) -> (object, version), or the default if there is no new one. */
static PyObject *watch_take(PyObject *object, PyObject *otherwise)
{
    ChannelObject *self = (ChannelObject *)object;
    NextCall call = {.watch = self, .handle = self->handle};
    PyObject *found;
    int code;

    if (!channel_is_open(self))
        return NULL;
    code = next_op(&call, TR_NOWAIT);
    if (code == TR_EAGAIN)
        return Py_NewRef(otherwise);
    self->busy++;
    found = code ? raise_code(self->state, code, "receive") : decoded(self, &call);
    channel_leave(self);
    return found;
}

static PyGetSetDef watch_getset[] = {
    {"closed", channel_closed, NULL, "Whether this handle, or its arena, is closed.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef watch_methods[] = {
    {"_open", watch_open, METH_VARARGS | METH_CLASS, NULL},
    {"_next", watch_next, METH_O, NULL},
    {"_take", watch_take, METH_O, NULL},
    {"close", channel_close, METH_NOARGS, "close($self, /)\n--\n\nFollow it no more."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot watch_slots[] = {
    {Py_tp_doc, "Follows one key of a board."},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_methods, watch_methods},
    {Py_tp_getset, watch_getset},
    {0, NULL},
};

PyType_Spec watch_spec = {
    .name = "tensoring._core.Watch",
    .basicsize = sizeof(ChannelObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = watch_slots,
};
