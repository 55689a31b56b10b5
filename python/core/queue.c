/* SPDX-License-Identifier: MIT */
/* queue.c - the Queue type: encode and send, receive and decode, each in one call. */
#include "core.h"

#define MANY_SLOTS 64

static void forget(void *handle)
{
    tr_queue_close(handle);
}

static int hand(void *handle, tr_message *message, int64_t timeout_ns)
{
    return tr_queue_send(handle, message, timeout_ns);
}

static int loan(void *handle, const tr_tensor_spec specs[], size_t n, int64_t timeout_ns,
                tr_message **out)
{
    return tr_queue_loan(handle, specs, n, timeout_ns, out);
}

static int take(void *handle, int64_t timeout_ns, tr_message **out)
{
    return tr_queue_receive(handle, timeout_ns, out);
}

static PyObject *queue_open(PyObject *type, PyObject *args)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    State *state = state_of((PyTypeObject *)type);
    PyObject *arena;
    const char *name;
    Shared *shared;
    tr_queue *queue;
    int code;

    if (!PyArg_ParseTuple(args, "O!sO&IO&II:_open", state->arena_type, &arena, &name,
                          to_u32, &options.capacity, &options.policy, to_u32,
                          &options.max_deliveries, &options.stamp, &options.histograms))
        return NULL;
    shared = shared_of(arena);
    if (!shared)
        return NULL;
    code = tr_queue_open(shared->arena, name, &options, &queue);
    if (code)
        return raise_code(state, code, "queue");
    return channel_for(
        channel_new((PyTypeObject *)type, state, shared, queue, forget, NULL), loan);
}

static PyObject *queue_loan(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    return channel_make(self, args, nargs, kwnames, loan_described);
}

static PyObject *queue_encode(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    return channel_make(self, args, nargs, kwnames, encode_object);
}

static PyObject *queue_send(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    return channel_send(self, args, nargs, kwnames, hand);
}

static PyObject *queue_send_message(PyObject *self, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *kwnames)
{
    return channel_send_message(self, args, nargs, kwnames, hand);
}

static PyObject *queue_receive(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames)
{
    return channel_receive(self, args, nargs, kwnames, take, true);
}

static PyObject *queue_receive_message(PyObject *self, PyObject *const *args,
                                       Py_ssize_t nargs, PyObject *kwnames)
{
    return channel_receive(self, args, nargs, kwnames, take, false);
}

/* _receive_onto(list, timeout): the message is in the list when the call is over, whatever the
 * handler of a signal raises then. */
static PyObject *queue_receive_onto(PyObject *self, PyObject *args)
{
    PyObject *list, *timeout, *message;
    int code;

    if (!PyArg_ParseTuple(args, "O!O:_receive_onto", &PyList_Type, &list, &timeout))
        return NULL;
    message = channel_receive(self, &timeout, 1, NULL, take, false);
    if (!message)
        return NULL;
    code = PyList_Append(list, message);
    Py_DECREF(message);
    if (code < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *queue_take(PyObject *self, PyObject *otherwise)
{
    return channel_take(self, otherwise, take, true);
}

/* 1: the next object is in the list. 0: there is none. -1 with an exception. */
static int append_next(ChannelObject *self, PyObject *list)
{
    PyObject *taken;
    tr_message *message;
    int code = tr_queue_receive(self->handle, TR_NOWAIT, &message);

    if (code == TR_EAGAIN)
        return 0;
    if (code) {
        raise_code(self->state, code, "receive");
        return -1;
    }
    self->naps.taken++;
    taken = decode_message(self->state, self->shared, message);
    code = taken ? PyList_Append(list, taken) : -1;
    Py_XDECREF(taken);
    return code < 0 ? -1 : 1;
}

/* _take_many(list, most) -> how many were there, and are in the list now. */
static PyObject *queue_take_many(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    Py_ssize_t most, n = 0;
    PyObject *list;
    int more = 1;

    if (!PyArg_ParseTuple(args, "O!n:_take_many", &PyList_Type, &list, &most))
        return NULL;
    while (n < most && more == 1) {
        /* Decoding may run anything, which may close it. */
        if (!channel_is_open(self))
            return NULL;
        self->busy++;
        more = append_next(self, list);
        channel_leave(self);
        n += more == 1;
    }
    return more < 0 ? NULL : PyLong_FromSsize_t(n);
}

static PyObject *queue_take_message(PyObject *self, PyObject *otherwise)
{
    return channel_take(self, otherwise, take, false);
}

typedef struct HandCall {
    ChannelObject *channel;
    tr_queue *queue;
    tr_message *message;
} HandCall;

static int hand_op(void *arg, int64_t timeout_ns)
{
    HandCall *call = arg;

    if (call->channel->closing)
        return CLOSED_HERE; /* by another thread, since the last slice */
    return tr_queue_send(call->queue, call->message, timeout_ns);
}

/* Send what @p code says was encoded, in what is left of the timeout. */
static PyObject *send_encoded(ChannelObject *self, HandCall *call, int code,
                              int64_t timeout_ns, int64_t since_ns)
{
    if (!code) {
        code = wait_in_slices(hand_op, call, time_left(timeout_ns, since_ns),
                              (PyObject *)self, TR_WAIT_WRITABLE);
        if (code)
            tr_message_release(call->message);
    }
    channel_leave(self);
    if (code)
        return raise_code(self->state, code, "send");
    Py_RETURN_NONE;
}

static PyObject *queue_send_parts(PyObject *object, PyObject *const *args,
                                  Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"encoded", "timeout", NULL};
    ChannelObject *self = (ChannelObject *)object;
    PyObject *values[2] = {NULL};
    HandCall call = {self, self->handle, NULL};
    int64_t timeout_ns, since_ns;
    int code;

    if (parse("_send_parts", args, nargs, kwnames, names, 1, values) < 0 ||
        get_timeout(values[1], &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    since_ns = now_ns();
    self->busy++;
    code = encode_parts(self->state, self->shared, values[0],
                        (Patience){timeout_ns, self, NULL}, &call.message);
    return send_encoded(self, &call, code, timeout_ns, since_ns);
}

static PyObject *queue_send_carried(PyObject *object, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"object", "dump", "correlation_id", "timeout",
                                        NULL};
    ChannelObject *self = (ChannelObject *)object;
    PyObject *values[4] = {NULL};
    HandCall call = {self, self->handle, NULL};
    int64_t timeout_ns, since_ns;
    uint64_t id;
    int code;

    if (parse("_send_carried", args, nargs, kwnames, names, 3, values) < 0 ||
        get_timeout(values[3], &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    id = PyLong_AsUnsignedLongLong(values[2]);
    if (PyErr_Occurred())
        return NULL;
    since_ns = timeout_ns > 0 ? now_ns() : 0;
    self->busy++;
    code = encode_carried(self->state, self->shared, values[0], values[1], id,
                          (Patience){timeout_ns, self, NULL}, &call.message);
    return send_encoded(self, &call, code, timeout_ns, since_ns);
}

/* 0, or RAISED if the tree can never be sent. */
static int check_size(ChannelObject *self, PyObject *tree)
{
    tr_message *message;
    int code;

    if (!channel_is_open(self))
        return RAISED;
    if (tree_bytes(tree) < keeping_doubtful(self->shared))
        return 0;
    code = encode_kept(self->shared, tree, (Patience){TR_NOWAIT, self, NULL}, &message);
    if (!code)
        tr_message_release(message);
    if (code == TR_EMSGSIZE)
        raise_code(self->state, code, "send");
    return code == TR_EMSGSIZE || code == RAISED ? RAISED : 0;
}

/* Whether there are as many as may be. Where all slots are taken each sender looks at all of
 * them, and again after each nap; so it does not come to that. */
static bool is_stuffed(const ChannelObject *self)
{
    return tr_queue_depth(self->handle) >= self->most;
}

static int put_once(HandCall *call, PyObject *object, PyObject *dump)
{
    ChannelObject *self = call->channel;
    int code = self->closing ? CLOSED_HERE : is_stuffed(self) ? TR_EAGAIN : 0;

    if (!code)
        code = encode_carried(self->state, self->shared, object, dump, 0,
                              (Patience){TR_NOWAIT, self, NULL}, &call->message);
    if (code)
        return code;
    code = hand_op(call, TR_NOWAIT);
    if (code)
        tr_message_release(call->message);
    else
        self->room_naps.taken++;
    return code;
}

/* Nap until there is room for many, where that pays. Whether to look again. */
static bool rest(ChannelObject *self)
{
    unsigned int naps = 0;

    while (nap_for_room(&self->room_naps, naps)) {
        naps++;
        if (self->closing || tr_queue_depth(self->handle) < self->most / 2)
            break;
    }
    return naps > 0;
}

/* Send without waiting, except in naps. */
static int put_napping(HandCall *call, PyObject *object, PyObject *dump)
{
    int code = put_once(call, object, dump);

    return code == TR_EAGAIN && rest(call->channel) ? put_once(call, object, dump) : code;
}

/* _put(object, dump) -> whether there was room. */
static PyObject *queue_put(PyObject *object, PyObject *const *args, Py_ssize_t nargs)
{
    ChannelObject *self = (ChannelObject *)object;
    HandCall call = {self, self->handle, NULL};
    int code;

    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "_put() takes an object and its dump");
        return NULL;
    }
    if (!channel_is_open(self))
        return NULL;
    self->busy++;
    code = put_napping(&call, args[0], args[1]);
    channel_leave(self);
    if (code && code != TR_EAGAIN)
        return raise_code(self->state, code, "send");
    return PyBool_FromLong(!code);
}

/* _rest() -> whether it paid to nap until there is room, and was done. */
static PyObject *queue_rest(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;
    bool rested;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    self->busy++;
    rested = rest(self);
    channel_leave(self);
    return PyBool_FromLong(rested);
}

/* _keep(object) -> a tree for _send_kept(), or None if it has no word for the object. */
static PyObject *queue_keep(PyObject *object, PyObject *value)
{
    ChannelObject *self = (ChannelObject *)object;
    PyObject *tree = tree_of(self->state, value);

    if (tree && tree != Py_None && check_size(self, tree))
        Py_CLEAR(tree);
    return tree;
}

/* _send_kept(tree, timeout) -> whether there was a slot and room: to raise Full costs more
 * than to send. */
static PyObject *queue_send_kept(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    HandCall call = {.channel = self};
    PyObject *tree, *timeout;
    int64_t timeout_ns;
    int code;

    if (!PyArg_ParseTuple(args, "OO:_send_kept", &tree, &timeout) ||
        get_timeout(timeout, &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    call.queue = self->handle;
    self->busy++;
    code = timeout_ns == TR_NOWAIT && is_stuffed(self)
               ? TR_EAGAIN
               : encode_kept(self->shared, tree, (Patience){timeout_ns, self, NULL},
                             &call.message);
    if (!code) {
        code = wait_in_slices(hand_op, &call, timeout_ns, object, TR_WAIT_WRITABLE);
        if (code)
            tr_message_release(call.message);
        else
            self->room_naps.taken++;
    }
    channel_leave(self);
    if (code && code != TR_EAGAIN && code != TR_ETIMEDOUT)
        return raise_code(self->state, code, "send");
    return PyBool_FromLong(!code);
}

/* A quarter of its smallest slots stays free, if there are many of them. */
static int limit_depth(ChannelObject *self)
{
    tr_class_stats found[TR_MAX_CLASSES];
    size_t n = 0;
    int code = tr_stats_classes(self->shared->arena, found, sizeof(tr_class_stats),
                                TR_MAX_CLASSES, &n);

    self->most = !code && n && found[0].slots >= MANY_SLOTS
                     ? found[0].slots - found[0].slots / 4
                     : UINT64_MAX;
    return code;
}

static PyObject *queue_may_nap(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;
    int code;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    self->naps.allowed = true;
    code = limit_depth(self);
    if (code)
        return raise_code(self->state, code, "queue");
    Py_RETURN_NONE;
}

static PyObject *queue_shutdown(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    tr_queue_shutdown(self->handle);
    Py_RETURN_NONE;
}

/* _note_batch(rows) */
static PyObject *queue_note_batch(PyObject *object, PyObject *rows)
{
    ChannelObject *self = (ChannelObject *)object;
    unsigned long long count = PyLong_AsUnsignedLongLong(rows);
    int code;

    if (PyErr_Occurred() || !channel_is_open(self))
        return NULL;
    code = tr_queue_note_batch(self->handle, count);
    if (code)
        return raise_code(self->state, code, "queue");
    Py_RETURN_NONE;
}

static Py_ssize_t queue_length(PyObject *object)
{
    ChannelObject *self = (ChannelObject *)object;

    return channel_is_open(self) ? (Py_ssize_t)tr_queue_depth(self->handle) : -1;
}

static PyObject *queue_capacity(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    return channel_is_open(self)
               ? PyLong_FromUnsignedLong(tr_queue_capacity(self->handle))
               : NULL;
}

static PyObject *queue_receivers(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    return channel_is_open(self)
               ? PyLong_FromUnsignedLong(tr_queue_receivers(self->handle))
               : NULL;
}

static PyObject *queue_name(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    return channel_is_open(self) ? PyUnicode_FromString(tr_queue_name(self->handle))
                                 : NULL;
}

static PyGetSetDef queue_getset[] = {
    {"capacity", queue_capacity, NULL, "How many messages it can hold.", NULL},
    {"receivers", queue_receivers, NULL,
     "How many living processes receive from it; 0: nobody does.", NULL},
    {"name", queue_name, NULL, "Its name in the arena.", NULL},
    {"closed", channel_closed, NULL, "Whether this handle, or its arena, is closed.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef queue_methods[] = {
    {"_open", queue_open, METH_VARARGS | METH_CLASS, NULL},
    {"send", (PyCFunction)(void (*)(void))queue_send, METH_FASTCALL | METH_KEYWORDS,
     "send($self, object, timeout=None)\n--\n\n"
     "Copy `object` into a slot and send it.\n\n"
     "timeout: seconds to wait for a slot and for room; None: forever; 0: not at "
     "all.\n"
     "Full if it may not wait, SendTimedOutError (which is also Full) after the "
     "timeout, TooLargeError if no slot is large enough, UnsupportedError if the "
     "object would come back changed, ClosedError after shutdown()."},
    {"receive", (PyCFunction)(void (*)(void))queue_receive, METH_FASTCALL | METH_KEYWORDS,
     "receive($self, timeout=None)\n--\n\nTake the oldest message. Arrays are views of "
     "the slot, which is free when the last of them is gone.\n\ntimeout: seconds to wait "
     "for a message; None: forever; 0: not at all.\nEmpty if it may not wait, "
     "ReceiveTimedOutError (which is also Empty) after the timeout, ClosedError after "
     "shutdown() when all messages have been received, FormatError if the message is "
     "broken."},
    {"_send_parts", (PyCFunction)(void (*)(void))queue_send_parts,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_send_carried", (PyCFunction)(void (*)(void))queue_send_carried,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_put", (PyCFunction)(void (*)(void))queue_put, METH_FASTCALL, NULL},
    {"_rest", queue_rest, METH_NOARGS, NULL},
    {"_may_nap", queue_may_nap, METH_NOARGS, NULL},
    {"_keep", queue_keep, METH_O, NULL},
    {"_send_kept", queue_send_kept, METH_VARARGS, NULL},
    {"send_message", (PyCFunction)(void (*)(void))queue_send_message,
     METH_FASTCALL | METH_KEYWORDS,
     "send_message($self, message, timeout=None, even_if_viewed=False)\n--\n\n"
     "Send a loaned message, or forward a received one, without a copy. BufferError if "
     "arrays look into it, unless even_if_viewed; else as send()."},
    {"_receive_onto", queue_receive_onto, METH_VARARGS, NULL},
    {"receive_message", (PyCFunction)(void (*)(void))queue_receive_message,
     METH_FASTCALL | METH_KEYWORDS,
     "receive_message($self, timeout=None)\n--\n\n"
     "Take the oldest message undecoded; release() gives its slot back. As receive()."},
    {"_copy_if_kept", queue_copy_if_kept, METH_NOARGS, NULL},
    {"_keeps", queue_keeps, METH_NOARGS, NULL},
    {"_doubtful", queue_doubtful, METH_NOARGS, NULL},
    {"_take", queue_take, METH_O, NULL},
    {"_take_many", queue_take_many, METH_VARARGS, NULL},
    {"_take_message", queue_take_message, METH_O, NULL},
    {"_begin", queue_begin, METH_VARARGS, NULL},
    {"_call", (PyCFunction)(void (*)(void))queue_call, METH_FASTCALL | METH_KEYWORDS,
     NULL},
    {"_note_batch", queue_note_batch, METH_O, NULL},
    {"_loan", (PyCFunction)(void (*)(void))queue_loan, METH_FASTCALL | METH_KEYWORDS,
     NULL},
    {"_encode_now", channel_encode_now, METH_O, NULL},
    {"_encode", (PyCFunction)(void (*)(void))queue_encode, METH_FASTCALL | METH_KEYWORDS,
     NULL},
    {"shutdown", queue_shutdown, METH_NOARGS,
     "shutdown($self, /)\n--\n\nNo more messages, for everybody, for good."},
    {"close", channel_close, METH_NOARGS,
     "close($self, /)\n--\n\nForget this handle; the queue stays."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, "A bounded first-in-first-out channel."},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_getset},
    {Py_mp_length, queue_length},
    {Py_nb_bool, channel_true},
    {0, NULL},
};

PyType_Spec queue_spec = {
    .name = "tensoring._core.Queue",
    .basicsize = sizeof(ChannelObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = queue_slots,
};
