/* SPDX-License-Identifier: MIT */
/* channel.c - what queues, broadcasts, subscriptions, boards and wait sets have in common:
 * a handle in an arena that may be closed while another thread waits on it. */
#include "core.h"

static void let_go(PyObject *hold)
{
    ChannelObject *channel = PyCapsule_GetPointer(hold, "tensoring.hold");

    channel_leave(channel);
    Py_DECREF(channel);
}

/* While the hold lives so does the handle of @p channel, closed or not. */
PyObject *channel_hold(PyObject *channel)
{
    PyObject *hold = PyCapsule_New(channel, "tensoring.hold", let_go);

    if (hold) {
        Py_INCREF(channel);
        ((ChannelObject *)channel)->busy++;
    }
    return hold;
}

/* Takes @p handle over, also on failure; it needs @p parent's, if there is one. */
PyObject *channel_new(PyTypeObject *type, State *state, Shared *shared, void *handle,
                      void (*forget)(void *handle), PyObject *parent)
{
    PyObject *hold = parent ? channel_hold(parent) : NULL;
    ChannelObject *self = NULL;

    if (hold || !parent)
        self = (ChannelObject *)PyType_GenericAlloc(type, 0);
    if (!self) {
        forget(handle);
        Py_XDECREF(hold);
        return NULL;
    }
    self->state = state;
    self->shared = shared_take(shared);
    self->handle = handle;
    self->forget = forget;
    self->needs = hold;
    return (PyObject *)self;
}

PyObject *channel_for(PyObject *channel, loan_for *loan)
{
    if (channel)
        ((ChannelObject *)channel)->loan = loan;
    return channel;
}

bool channel_is_open(ChannelObject *self)
{
    if (self->handle && !self->closing && !self->shared->closed)
        return true;
    PyErr_SetString(PyExc_ValueError, self->handle && !self->closing
                                          ? "the arena of the channel is closed"
                                          : "the channel is closed");
    return false;
}

static void forget(ChannelObject *self)
{
    self->forget(self->handle);
    self->handle = NULL;
    shared_drop(self->shared);
    self->shared = NULL;
    Py_CLEAR(self->needs);
}

/* Another thread may close the handle while this one waits: the last one out does it. */
void channel_leave(ChannelObject *self)
{
    if (--self->busy == 0 && self->closing && self->handle)
        forget(self);
}

void channel_dealloc(PyObject *object)
{
    ChannelObject *self = (ChannelObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc free_object = PyType_GetSlot(type, Py_tp_free);

    if (self->handle)
        forget(self);
    free_object(object);
    Py_DECREF(type);
}

PyObject *channel_close(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    self->closing = true;
    if (self->handle && !self->busy)
        forget(self);
    Py_RETURN_NONE;
}

PyObject *channel_closed(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    return PyBool_FromLong(!self->handle || self->closing || self->shared->closed);
}

int channel_true(PyObject *object)
{
    (void)object;
    return 1; /* an empty queue is a queue */
}

/* What is left of a timeout that began at @p since_ns. */
int64_t time_left(int64_t timeout_ns, int64_t since_ns)
{
    int64_t rest;

    if (timeout_ns <= 0)
        return timeout_ns;
    rest = timeout_ns - (now_ns() - since_ns);
    return rest > 1 ? rest : 1;
}

typedef struct SendCall {
    ChannelObject *channel;
    void *handle;
    tr_message *message;
    hand_over *hand;
} SendCall;

static int send_op(void *arg, int64_t timeout_ns)
{
    SendCall *call = arg;

    if (call->channel->closing)
        return CLOSED_HERE; /* by another thread, since the last slice */
    return call->hand(call->handle, call->message, timeout_ns);
}

PyObject *channel_make(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames, maker *make)
{
    static const char *const names[] = {"object", "timeout", NULL};
    ChannelObject *self = (ChannelObject *)object;
    Patience patience = {.channel = self};
    PyObject *values[2] = {NULL}, *made;

    if (parse("loan", args, nargs, kwnames, names, 1, values) < 0 ||
        get_timeout(values[1], &patience.timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    self->busy++;
    made = message_made(self->state, self->shared, values[0], patience, make);
    channel_leave(self);
    return made;
}

PyObject *channel_encode_now(PyObject *object, PyObject *value)
{
    ChannelObject *self = (ChannelObject *)object;
    PyObject *wanted = NULL, *made;

    if (!channel_is_open(self))
        return NULL;
    self->busy++;
    made = message_made(self->state, self->shared, value,
                        (Patience){TR_NOWAIT, self, &wanted}, encode_object);
    channel_leave(self);
    return made;
}

PyObject *channel_send(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames, hand_over *hand)
{
    static const char *const names[] = {"object", "timeout", NULL};
    ChannelObject *self = (ChannelObject *)object;
    PyObject *values[2] = {NULL};
    SendCall call = {self, NULL, NULL, hand};
    int64_t timeout_ns, since_ns;
    int code;

    if (parse("send", args, nargs, kwnames, names, 1, values) < 0 ||
        get_timeout(values[1], &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    call.handle = self->handle;
    since_ns = timeout_ns > 0 ? now_ns() : 0;
    self->busy++;
    code = encode_object(self->state, self->shared, values[0],
                         (Patience){timeout_ns, self, NULL}, &call.message);
    if (!code) {
        code = wait_in_slices(send_op, &call, time_left(timeout_ns, since_ns), object,
                              TR_WAIT_WRITABLE);
        if (code)
            tr_message_release(call.message);
    }
    channel_leave(self);
    if (code)
        return raise_code(self->state, code, "send");
    Py_RETURN_NONE;
}

PyObject *channel_send_message(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames, hand_over *hand)
{
    static const char *const names[] = {"message", "timeout", "even_if_viewed", NULL};
    ChannelObject *self = (ChannelObject *)object;
    PyObject *values[3] = {NULL};
    SendCall call = {self, NULL, NULL, hand};
    int64_t timeout_ns;
    Slot *slot;
    int code;

    if (parse("send_message", args, nargs, kwnames, names, 1, values) < 0 ||
        get_timeout(values[1], &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    slot = slot_to_send(self->state, values[0], self->shared, values[2] == Py_True);
    if (!slot)
        return NULL;
    call.handle = self->handle;
    call.message = slot->message;
    /* While the GIL is free nobody else finds the message: it is in one hand. */
    slot->message = NULL;
    slot->users++;
    self->busy++;
    code = wait_in_slices(send_op, &call, timeout_ns, object, TR_WAIT_WRITABLE);
    channel_leave(self);
    if (code)
        slot->message = call.message;
    slot_drop(slot);
    if (code)
        return raise_code(self->state, code, "send");
    Py_RETURN_NONE;
}

typedef struct ReceiveCall {
    ChannelObject *channel;
    void *handle;
    tr_message *message;
    take_next *take;
} ReceiveCall;

static int receive_op(void *arg, int64_t timeout_ns)
{
    ReceiveCall *call = arg;

    if (call->channel->closing)
        return CLOSED_HERE;
    return call->take(call->handle, timeout_ns, &call->message);
}

/* How many messages came since the wait before, and were received by others. */
static void count_passed(Naps *naps, const tr_message *message)
{
    tr_header header = TR_HEADER_INIT;

    if (tr_message_header_get(message, &header))
        return;
    naps->passed = header.sequence - naps->seen - naps->before;
    naps->seen = header.sequence;
}

static int receive_napping(ReceiveCall *call, int64_t timeout_ns)
{
    Naps *naps = &call->channel->naps;
    int code = receive_op(call, TR_NOWAIT);

    if (code != TR_EAGAIN)
        return code;
    naps->before = naps->taken;
    for (unsigned int i = 0; code == TR_EAGAIN && nap(naps, i); i++)
        code = PyErr_CheckSignals() < 0 ? RAISED : receive_op(call, TR_NOWAIT);
    if (code == TR_EAGAIN)
        code = wait_in_slices(receive_op, call, timeout_ns, (PyObject *)call->channel,
                              TR_WAIT_READABLE);
    if (!code)
        count_passed(naps, call->message);
    return code;
}

/* wait_in_slices(), with naps where they pay. */
static int receive_next(ReceiveCall *call, int64_t timeout_ns)
{
    Naps *naps = &call->channel->naps;
    int code;

    if (!naps->allowed || timeout_ns == TR_NOWAIT)
        return wait_in_slices(receive_op, call, timeout_ns, (PyObject *)call->channel,
                              TR_WAIT_READABLE);
    code = receive_napping(call, timeout_ns);
    naps->taken += code == 0;
    return code;
}

static PyObject *wrap_message(ChannelObject *self, tr_message *message)
{
    Slot *slot = slot_new(self->shared, message);
    PyObject *wrapped = slot ? message_new(self->state, slot) : NULL;

    if (slot) {
        keeping_received(slot);
        slot_drop(slot);
    }
    return wrapped;
}

PyObject *channel_receive(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames, take_next *take, bool decoded)
{
    static const char *const names[] = {"timeout", NULL};
    ChannelObject *self = (ChannelObject *)object;
    PyObject *values[1] = {NULL}, *received;
    ReceiveCall call = {self, NULL, NULL, take};
    int64_t timeout_ns;
    int code;

    if (parse("receive", args, nargs, kwnames, names, 0, values) < 0 ||
        get_timeout(values[0], &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    call.handle = self->handle;
    self->busy++;
    code = receive_next(&call, timeout_ns);
    if (code)
        received = raise_code(self->state, code, "receive");
    else if (decoded)
        received = decode_message(self->state, self->shared, call.message);
    else
        received = wrap_message(self, call.message);
    channel_leave(self);
    return received;
}

/* take(default) -> the next, or the default if nothing is there: raising Empty costs more
 * than a message. */
PyObject *channel_take(PyObject *object, PyObject *otherwise, take_next *take,
                       bool decoded)
{
    ChannelObject *self = (ChannelObject *)object;
    tr_message *message;
    PyObject *taken;
    int code;

    if (!channel_is_open(self))
        return NULL;
    code = take(self->handle, TR_NOWAIT, &message);
    if (code == TR_EAGAIN)
        return Py_NewRef(otherwise);
    self->naps.taken++;
    if (code)
        return raise_code(self->state, code, "receive");
    self->busy++;
    taken = decoded ? decode_message(self->state, self->shared, message)
                    : wrap_message(self, message);
    channel_leave(self);
    return taken;
}
