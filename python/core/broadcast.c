/* SPDX-License-Identifier: MIT */
/* broadcast.c - the types Broadcast and Subscription. */
#include "core.h"

#include <tensoring/broadcast.h>

static void forget(void *handle)
{
    tr_broadcast_close(handle);
}

static void unsubscribe(void *handle)
{
    tr_subscription_close(handle);
}

static int hand(void *handle, tr_message *message, int64_t timeout_ns)
{
    return tr_broadcast_publish(handle, message, timeout_ns);
}

static int loan(void *handle, const tr_tensor_spec specs[], size_t n, int64_t timeout_ns,
                tr_message **out)
{
    return tr_broadcast_loan(handle, specs, n, timeout_ns, out);
}

static int take(void *handle, int64_t timeout_ns, tr_message **out)
{
    return tr_subscription_receive(handle, timeout_ns, out);
}

static PyObject *broadcast_open(PyObject *type, PyObject *args)
{
    tr_broadcast_options options = TR_BROADCAST_OPTIONS_INIT;
    State *state = state_of((PyTypeObject *)type);
    PyObject *arena;
    const char *name;
    Shared *shared;
    tr_broadcast *broadcast;
    int code;

    if (!PyArg_ParseTuple(args, "O!sO&O&O&I:_open", state->arena_type, &arena, &name,
                          to_u32, &options.capacity, to_u32, &options.keep, to_u32,
                          &options.max_subscribers, &options.stamp))
        return NULL;
    shared = shared_of(arena);
    if (!shared)
        return NULL;
    code = tr_broadcast_open(shared->arena, name, &options, &broadcast);
    if (code)
        return raise_code(state, code, "broadcast");
    return channel_for(
        channel_new((PyTypeObject *)type, state, shared, broadcast, forget, NULL), loan);
}

static PyObject *broadcast_publish(PyObject *self, PyObject *const *args,
                                   Py_ssize_t nargs, PyObject *kwnames)
{
    return channel_send(self, args, nargs, kwnames, hand);
}

static PyObject *broadcast_publish_message(PyObject *self, PyObject *const *args,
                                           Py_ssize_t nargs, PyObject *kwnames)
{
    return channel_send_message(self, args, nargs, kwnames, hand);
}

static PyObject *broadcast_shutdown(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    tr_broadcast_shutdown(self->handle);
    Py_RETURN_NONE;
}

static PyObject *broadcast_capacity(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    return PyLong_FromUnsignedLong(tr_broadcast_capacity(self->handle));
}

static PyObject *broadcast_subscribers(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    return PyLong_FromUnsignedLong(tr_broadcast_subscribers(self->handle));
}

static PyObject *broadcast_name(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    return PyUnicode_FromString(tr_broadcast_name(self->handle));
}

static PyObject *subscription_open(PyObject *type, PyObject *args)
{
    tr_subscription_options options = TR_SUBSCRIPTION_OPTIONS_INIT;
    State *state = state_of((PyTypeObject *)type);
    PyObject *object;
    ChannelObject *broadcast;
    tr_subscription *subscription;
    int code;

    if (!PyArg_ParseTuple(args, "O!IO&:_open", state->broadcast_type, &object,
                          &options.lag, to_u32, &options.last))
        return NULL;
    broadcast = (ChannelObject *)object;
    if (!channel_is_open(broadcast))
        return NULL;
    code = tr_subscription_open(broadcast->handle, &options, &subscription);
    if (code)
        return raise_code(state, code, "subscribe");
    return channel_new((PyTypeObject *)type, state, broadcast->shared, subscription,
                       unsubscribe, object);
}

static PyObject *subscription_receive(PyObject *self, PyObject *const *args,
                                      Py_ssize_t nargs, PyObject *kwnames)
{
    return channel_receive(self, args, nargs, kwnames, take, true);
}

static PyObject *subscription_receive_message(PyObject *self, PyObject *const *args,
                                              Py_ssize_t nargs, PyObject *kwnames)
{
    return channel_receive(self, args, nargs, kwnames, take, false);
}

static PyObject *subscription_take(PyObject *self, PyObject *otherwise)
{
    return channel_take(self, otherwise, take, true);
}

static PyObject *subscription_take_message(PyObject *self, PyObject *otherwise)
{
    return channel_take(self, otherwise, take, false);
}

static PyObject *subscription_missed(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    return PyLong_FromUnsignedLongLong(tr_subscription_missed(self->handle));
}

static PyGetSetDef broadcast_getset[] = {
    {"capacity", broadcast_capacity, NULL, "How far a subscriber may be behind.", NULL},
    {"subscribers", broadcast_subscribers, NULL, "How many there are, about.", NULL},
    {"name", broadcast_name, NULL, "Its name in the arena.", NULL},
    {"closed", channel_closed, NULL, "Whether this handle, or its arena, is closed.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef broadcast_methods[] = {
    {"_open", broadcast_open, METH_VARARGS | METH_CLASS, NULL},
    {"_encode_now", channel_encode_now, METH_O, NULL},
    {"publish", (PyCFunction)(void (*)(void))broadcast_publish,
     METH_FASTCALL | METH_KEYWORDS,
     "publish($self, object, timeout=None)\n--\n\n"
     "Copy `object` into a slot, once, for every subscriber. Timeout in seconds, None "
     "waits forever; Full or SendTimedOutError if there is no slot, or a subscriber "
     "that blocks is behind."},
    {"publish_message", (PyCFunction)(void (*)(void))broadcast_publish_message,
     METH_FASTCALL | METH_KEYWORDS,
     "publish_message($self, message, timeout=None, even_if_viewed=False)\n--\n\n"
     "Publish a loaned message, or one received from a queue, without a copy. "
     "BufferError "
     "if arrays look into it, unless even_if_viewed; else as publish()."},
    {"shutdown", broadcast_shutdown, METH_NOARGS,
     "shutdown($self, /)\n--\n\nNo more messages, for everybody, for good."},
    {"close", channel_close, METH_NOARGS,
     "close($self, /)\n--\n\nForget this handle; the broadcast stays."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot broadcast_slots[] = {
    {Py_tp_doc, "Each message to every subscriber."},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_methods, broadcast_methods},
    {Py_tp_getset, broadcast_getset},
    {0, NULL},
};

PyType_Spec broadcast_spec = {
    .name = "tensoring._core.Broadcast",
    .basicsize = sizeof(ChannelObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = broadcast_slots,
};

static PyGetSetDef subscription_getset[] = {
    {"missed", subscription_missed, NULL, "Messages missed since it began.", NULL},
    {"closed", channel_closed, NULL, "Whether this handle, or its arena, is closed.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef subscription_methods[] = {
    {"_open", subscription_open, METH_VARARGS | METH_CLASS, NULL},
    {"receive", (PyCFunction)(void (*)(void))subscription_receive,
     METH_FASTCALL | METH_KEYWORDS,
     "receive($self, timeout=None)\n--\n\n"
     "The next message. Arrays are read-only views of the slot that all subscribers "
     "share. Timeout in seconds, None waits forever; Empty or ReceiveTimedOutError if "
     "nothing came, LaggedError if messages were missed, EvictedError, ClosedError."},
    {"receive_message", (PyCFunction)(void (*)(void))subscription_receive_message,
     METH_FASTCALL | METH_KEYWORDS,
     "receive_message($self, timeout=None)\n--\n\nThe next message undecoded; release() "
     "gives it back. As receive()."},
    {"_take", subscription_take, METH_O, NULL},
    {"_take_message", subscription_take_message, METH_O, NULL},
    {"close", channel_close, METH_NOARGS,
     "close($self, /)\n--\n\nUnsubscribe. Messages received before stay good."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot subscription_slots[] = {
    {Py_tp_doc, "One place in a broadcast."},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_methods, subscription_methods},
    {Py_tp_getset, subscription_getset},
    {0, NULL},
};

PyType_Spec subscription_spec = {
    .name = "tensoring._core.Subscription",
    .basicsize = sizeof(ChannelObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = subscription_slots,
};
