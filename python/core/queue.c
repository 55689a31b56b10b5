/* SPDX-License-Identifier: MIT */
/* queue.c - the Queue type: encode and send, receive and decode, each in one call. */
#include "core.h"

typedef struct SendCall {
    tr_queue *queue;
    tr_message *message;
} SendCall;

typedef struct ReceiveCall {
    tr_queue *queue;
    tr_message **out;
} ReceiveCall;

static int send_op(void *arg, int64_t timeout_ns)
{
    SendCall *call = arg;

    return tr_queue_send(call->queue, call->message, timeout_ns);
}

static int receive_op(void *arg, int64_t timeout_ns)
{
    ReceiveCall *call = arg;

    return tr_queue_receive(call->queue, timeout_ns, call->out);
}

static bool open_queue(QueueObject *self)
{
    if (self->queue && !self->closing && !self->shared->closed)
        return true;
    PyErr_SetString(PyExc_ValueError, self->queue && !self->closing
                                          ? "the arena of the queue is closed"
                                          : "the queue is closed");
    return false;
}

static void close_queue(QueueObject *self)
{
    tr_queue_close(self->queue);
    self->queue = NULL;
    shared_drop(self->shared);
    self->shared = NULL;
}

/* Another thread may close the handle while this one waits: the last one out does it. */
static void leave(QueueObject *self)
{
    if (--self->busy == 0 && self->closing && self->queue)
        close_queue(self);
}

static PyObject *queue_open(PyObject *type, PyObject *args)
{
    tr_queue_options options = TR_QUEUE_OPTIONS_INIT;
    State *state = state_of((PyTypeObject *)type);
    QueueObject *self;
    PyObject *arena;
    const char *name;
    Shared *shared;
    tr_queue *queue;
    int code;

    if (!PyArg_ParseTuple(args, "O!sIIII:_open", state->arena_type, &arena, &name,
                          &options.capacity, &options.policy, &options.max_deliveries,
                          &options.stamp))
        return NULL;
    shared = shared_of(arena);
    if (!shared)
        return NULL;
    code = tr_queue_open(shared->arena, name, &options, &queue);
    if (code)
        return raise_code(state, code, "queue");
    self = (QueueObject *)PyType_GenericAlloc((PyTypeObject *)type, 0);
    if (!self) {
        tr_queue_close(queue);
        return NULL;
    }
    self->state = state;
    self->shared = shared_take(shared);
    self->queue = queue;
    return (PyObject *)self;
}

static void queue_dealloc(PyObject *object)
{
    QueueObject *self = (QueueObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc free_object = PyType_GetSlot(type, Py_tp_free);

    if (self->queue)
        close_queue(self);
    free_object(object);
    Py_DECREF(type);
}

static PyObject *queue_close(PyObject *object, PyObject *unused)
{
    QueueObject *self = (QueueObject *)object;

    (void)unused;
    self->closing = true;
    if (self->queue && !self->busy)
        close_queue(self);
    Py_RETURN_NONE;
}

/* What is left of a timeout that began at @p since_ns. */
static int64_t left(int64_t timeout_ns, int64_t since_ns)
{
    int64_t rest;

    if (timeout_ns <= 0)
        return timeout_ns;
    rest = timeout_ns - (now_ns() - since_ns);
    return rest > 1 ? rest : 1;
}

static int encode_and_send(QueueObject *self, PyObject *object, int64_t timeout_ns)
{
    int64_t since_ns = timeout_ns > 0 ? now_ns() : 0;
    SendCall call = {self->queue, NULL};
    int code = encode_object(self->state, self->shared, object, timeout_ns,
                             &call.message);

    if (code)
        return code;
    code = wait_in_slices(send_op, &call, left(timeout_ns, since_ns));
    if (code)
        tr_release(call.message);
    return code;
}

static PyObject *queue_send(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    static const char *const names[] = {"object", "timeout", NULL};
    QueueObject *self = (QueueObject *)object;
    PyObject *values[2] = {NULL};
    int64_t timeout_ns;
    int code;

    if (parse("send", args, nargs, kwnames, names, 1, values) < 0 ||
        get_timeout(values[1], &timeout_ns) < 0 || !open_queue(self))
        return NULL;
    self->busy++;
    code = encode_and_send(self, values[0], timeout_ns);
    leave(self);
    if (code)
        return raise_code(self->state, code, "send");
    Py_RETURN_NONE;
}

static PyObject *queue_send_parts(PyObject *object, PyObject *const *args,
                                  Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"encoded", "timeout", NULL};
    QueueObject *self = (QueueObject *)object;
    PyObject *values[2] = {NULL};
    SendCall call = {self->queue, NULL};
    int64_t timeout_ns, since_ns;
    int code;

    if (parse("_send_parts", args, nargs, kwnames, names, 1, values) < 0 ||
        get_timeout(values[1], &timeout_ns) < 0 || !open_queue(self))
        return NULL;
    since_ns = now_ns();
    self->busy++;
    code = encode_parts(self->state, self->shared, values[0], timeout_ns, &call.message);
    if (!code) {
        code = wait_in_slices(send_op, &call, left(timeout_ns, since_ns));
        if (code)
            tr_release(call.message);
    }
    leave(self);
    if (code)
        return raise_code(self->state, code, "send");
    Py_RETURN_NONE;
}

static PyObject *queue_send_message(PyObject *object, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"message", "timeout", "even_if_viewed", NULL};
    QueueObject *self = (QueueObject *)object;
    PyObject *values[3] = {NULL};
    int64_t timeout_ns;
    SendCall call = {NULL, NULL};
    Slot *slot;
    int code;

    if (parse("send_message", args, nargs, kwnames, names, 1, values) < 0 ||
        get_timeout(values[1], &timeout_ns) < 0 || !open_queue(self))
        return NULL;
    slot = slot_to_send(self->state, values[0], self->shared, values[2] == Py_True);
    if (!slot)
        return NULL;
    call = (SendCall){self->queue, slot->message};
    /* While the GIL is free nobody else finds the message: it is in one hand. */
    slot->message = NULL;
    self->busy++;
    code = wait_in_slices(send_op, &call, timeout_ns);
    leave(self);
    if (code) {
        slot->message = call.message;
        return raise_code(self->state, code, "send");
    }
    Py_RETURN_NONE;
}

/* The next message, or NULL with an exception. */
static tr_message *next_message(QueueObject *self, PyObject *const *args,
                                Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"timeout", NULL};
    PyObject *values[1] = {NULL};
    tr_message *message = NULL;
    ReceiveCall call = {self->queue, &message};
    int64_t timeout_ns;
    int code;

    if (parse("receive", args, nargs, kwnames, names, 0, values) < 0 ||
        get_timeout(values[0], &timeout_ns) < 0 || !open_queue(self))
        return NULL;
    self->busy++;
    code = wait_in_slices(receive_op, &call, timeout_ns);
    if (!code)
        return message;
    raise_code(self->state, code, "receive");
    leave(self);
    return NULL;
}

static PyObject *queue_receive(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames)
{
    QueueObject *self = (QueueObject *)object;
    tr_message *message = next_message(self, args, nargs, kwnames);
    PyObject *decoded;

    if (!message)
        return NULL;
    decoded = decode_message(self->state, self->shared, message);
    leave(self);
    return decoded;
}

static PyObject *queue_receive_message(PyObject *object, PyObject *const *args,
                                       Py_ssize_t nargs, PyObject *kwnames)
{
    QueueObject *self = (QueueObject *)object;
    tr_message *message = next_message(self, args, nargs, kwnames);
    Slot *slot = message ? slot_new(self->shared, message) : NULL;
    PyObject *wrapped = slot ? message_new(self->state, slot) : NULL;

    if (slot)
        slot_drop(slot);
    if (message)
        leave(self);
    return wrapped;
}

static PyObject *queue_shutdown(PyObject *object, PyObject *unused)
{
    QueueObject *self = (QueueObject *)object;

    (void)unused;
    if (!open_queue(self))
        return NULL;
    tr_queue_shutdown(self->queue);
    Py_RETURN_NONE;
}

static Py_ssize_t queue_length(PyObject *object)
{
    QueueObject *self = (QueueObject *)object;

    return open_queue(self) ? (Py_ssize_t)tr_queue_depth(self->queue) : -1;
}

static int queue_bool(PyObject *object)
{
    (void)object;
    return 1; /* an empty queue is a queue */
}

static PyObject *queue_capacity(PyObject *object, void *unused)
{
    QueueObject *self = (QueueObject *)object;

    (void)unused;
    return open_queue(self) ? PyLong_FromUnsignedLong(tr_queue_capacity(self->queue))
                            : NULL;
}

static PyObject *queue_name(PyObject *object, void *unused)
{
    QueueObject *self = (QueueObject *)object;

    (void)unused;
    return open_queue(self) ? PyUnicode_FromString(tr_queue_name(self->queue)) : NULL;
}

static PyObject *queue_closed(PyObject *object, void *unused)
{
    QueueObject *self = (QueueObject *)object;

    (void)unused;
    return PyBool_FromLong(!self->queue || self->closing || self->shared->closed);
}

static PyGetSetDef queue_getset[] = {
    {"capacity", queue_capacity, NULL, "How many messages it can hold.", NULL},
    {"name", queue_name, NULL, "Its name in the arena.", NULL},
    {"closed", queue_closed, NULL, "Whether this handle, or its arena, is closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef queue_methods[] = {
    {"_open", queue_open, METH_VARARGS | METH_CLASS, NULL},
    {"send", (PyCFunction)(void (*)(void))queue_send, METH_FASTCALL | METH_KEYWORDS,
     "send($self, object, timeout=None)\n--\n\n"
     "Copy `object` into a slot and send it. Timeout in seconds; None waits for ever."},
    {"receive", (PyCFunction)(void (*)(void))queue_receive, METH_FASTCALL | METH_KEYWORDS,
     "receive($self, timeout=None)\n--\n\n"
     "Take the oldest message. Arrays are views of the slot, which is free when the last "
     "of them is gone."},
    {"_send_parts", (PyCFunction)(void (*)(void))queue_send_parts,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"send_message", (PyCFunction)(void (*)(void))queue_send_message,
     METH_FASTCALL | METH_KEYWORDS,
     "send_message($self, message, timeout=None, even_if_viewed=False)\n--\n\n"
     "Send a loaned message, or forward a received one, without a copy."},
    {"receive_message", (PyCFunction)(void (*)(void))queue_receive_message,
     METH_FASTCALL | METH_KEYWORDS,
     "receive_message($self, timeout=None)\n--\n\nTake the oldest message undecoded."},
    {"shutdown", queue_shutdown, METH_NOARGS,
     "shutdown($self, /)\n--\n\nNo more messages, for everybody, for good."},
    {"close", queue_close, METH_NOARGS,
     "close($self, /)\n--\n\nForget this handle; the queue stays."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, "A bounded first-in-first-out channel."},
    {Py_tp_dealloc, queue_dealloc},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_getset},
    {Py_mp_length, queue_length},
    {Py_nb_bool, queue_bool},
    {0, NULL},
};

PyType_Spec queue_spec = {
    .name = "tensoring._core.Queue",
    .basicsize = sizeof(QueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = queue_slots,
};
