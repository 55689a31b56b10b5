/* SPDX-License-Identifier: MIT */
/* request.c - ask over a queue and wait for the answer; answer.
 *
 * A request is sent asynchronously, its reply waited for in slices, and given up when a signal
 * handler raises: nothing that is wanted is thrown away between two slices. At its deadline the
 * library ends it, and says why there was no reply. */
#include "core.h"

#include <tensoring/request.h>

/* The time given is what the servers are told, so it is not cut into slices; a signal ends
 * the wait for room with TR_EINTR. Takes the message over. */
static int ask(tr_queue *queue, tr_message *message, bool at_once, int64_t timeout_ns,
               int64_t since_ns, uint64_t *ticket)
{
    PyThreadState *gil;
    int code;

    do {
        int64_t left_ns = time_left(timeout_ns, since_ns);

        gil = PyEval_SaveThread();
        code = tr_request_send(queue, message, at_once ? TR_NOWAIT : left_ns, left_ns,
                               TR_REQUEST_BY_TICKET, ticket);
        PyEval_RestoreThread(gil);
        if (code == TR_EINTR && PyErr_CheckSignals() < 0)
            code = RAISED;
    } while (code == TR_EINTR);
    if (code)
        tr_message_release(message);
    return code;
}

typedef struct ReplyCall {
    tr_arena *arena;
    uint64_t ticket;
    int64_t deadline_ns; /* not before the library's; INT64_MAX: none */
    int64_t slice_ns;
    tr_message *reply;
} ReplyCall;

/* One slice, without the GIL. The last one goes beyond the deadline, so that the library ends
 * the request, and says why there was no reply. */
static int reply_slice(ReplyCall *call, bool *last)
{
    int64_t left_ns = call->deadline_ns == INT64_MAX ? INT64_MAX
                                                     : call->deadline_ns - now_ns();
    PyThreadState *gil;
    int code;

    *last = left_ns < call->slice_ns + SLICE_NS;
    gil = PyEval_SaveThread();
    code = tr_request_wait(
        call->arena, call->ticket,
        *last ? (left_ns < 0 ? 0 : left_ns) + SLICE_NS : call->slice_ns, &call->reply);
    PyEval_RestoreThread(gil);
    call->slice_ns = next_slice(call->slice_ns);
    return code;
}

static int wait_for_reply(ReplyCall *call)
{
    int code = tr_request_wait(call->arena, call->ticket, TR_NOWAIT, &call->reply);
    bool last = false;

    if (code != TR_EAGAIN)
        return code;
    do {
        if (PyErr_CheckSignals() < 0)
            return RAISED;
        code = reply_slice(call, &last);
    } while (code == TR_EINTR || (code == TR_ETIMEDOUT && !last));
    return code;
}

/* *what is what the error is about. at_once: for a slot and for room in the queue it waits
 * not at all, so TR_EAGAIN is one of these. */
static int call(ChannelObject *self, PyObject *object, int64_t timeout_ns, bool at_once,
                tr_message **reply, const char **what)
{
    int64_t since_ns = now_ns();
    ReplyCall wait = {
        .arena = self->shared->arena, .deadline_ns = INT64_MAX, .slice_ns = SLICE_NS};
    tr_message *message;
    int code;

    *what = "send";
    code = encode_object(self->state, self->shared, object,
                         (Patience){at_once ? TR_NOWAIT : timeout_ns, self, NULL},
                         &message);
    if (!code)
        code = ask(self->handle, message, at_once, timeout_ns, since_ns, &wait.ticket);
    if (code)
        return code;
    *what = "call";
    if (timeout_ns >= 0)
        wait.deadline_ns = now_ns() + time_left(timeout_ns, since_ns);
    code = wait_for_reply(&wait);
    if (code == RAISED) {
        int given_up = tr_request_cancel(wait.arena, wait.ticket);

        (void)given_up; /* it has ended by itself: as well */
    }
    *reply = wait.reply;
    return code;
}

PyObject *queue_call(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    static const char *const names[] = {"object", "timeout", "at_once", NULL};
    ChannelObject *self = (ChannelObject *)object;
    PyObject *values[3] = {NULL}, *answer;
    const char *what;
    int64_t timeout_ns;
    tr_message *reply = NULL;
    int code;

    if (parse("call", args, nargs, kwnames, names, 1, values) < 0 ||
        get_timeout(values[1], &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    self->busy++;
    code = call(self, values[0], timeout_ns, values[2] == Py_True, &reply, &what);
    if (code)
        answer = raise_code(self->state, code, what);
    else
        answer = decode_message(self->state, self->shared, reply);
    channel_leave(self);
    return answer;
}

/* _begin(message, timeout) -> ticket; Full if there is no room now, and then, as on every
 * error, the message is as it was. */
PyObject *queue_begin(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    PyObject *message, *timeout;
    int64_t timeout_ns;
    uint64_t ticket;
    Slot *slot;
    int code;

    if (!PyArg_ParseTuple(args, "OO:_begin", &message, &timeout) ||
        get_timeout(timeout, &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    slot = slot_to_send(self->state, message, self->shared, false);
    if (!slot)
        return NULL;
    code = tr_request_send(self->handle, slot->message, TR_NOWAIT, timeout_ns, 0,
                           &ticket);
    if (code)
        return raise_code(self->state, code, "send");
    slot->message = NULL;
    return PyLong_FromUnsignedLongLong(ticket);
}

/* What is set, as an object. */
static PyObject *raised(void)
{
    PyObject *type, *value, *traceback;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

/* _reply_next() -> (ticket, whether it failed, the reply or the exception), or None. */
PyObject *waitset_reply_next(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;
    PyObject *outcome = NULL;
    tr_message *reply;
    uint64_t ticket;
    int code;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    code = tr_request_next(self->shared->arena, TR_NOWAIT, &ticket, &reply);
    if (code == TR_EAGAIN)
        Py_RETURN_NONE;
    if (code && !ticket)
        return raise_code(self->state, code, "call");
    if (code)
        raise_code(self->state, code, "call");
    else
        outcome = decode_message(self->state, self->shared, reply);
    code = !outcome;
    if (!outcome)
        outcome = raised();
    return outcome ? Py_BuildValue("(KNN)", (unsigned long long)ticket,
                                   PyBool_FromLong(code), outcome)
                   : NULL;
}

/* Give a request up; nothing happens if it has ended. */
PyObject *waitset_cancel(PyObject *object, PyObject *number)
{
    ChannelObject *self = (ChannelObject *)object;
    unsigned long long ticket = PyLong_AsUnsignedLongLong(number);
    int code;

    if (PyErr_Occurred() || !channel_is_open(self))
        return NULL;
    code = tr_request_cancel(self->shared->arena, ticket);
    return PyBool_FromLong(code == 0);
}

static Slot *request_slot(PyObject *object, bool even_if_viewed)
{
    MessageObject *self = (MessageObject *)object;

    if (!self->slot) {
        PyErr_SetString(PyExc_ValueError, "the message was sent or released");
        return NULL;
    }
    return slot_to_send(self->state, object, self->slot->shared, even_if_viewed);
}

/* Answer with a loaned message. BufferError if arrays look into the request, for its slot
 * goes. */
static PyObject *reply_message(PyObject *object, PyObject *answer)
{
    MessageObject *self = (MessageObject *)object;
    Slot *slot = request_slot(object, false);
    Slot *reply = slot ? slot_to_send(self->state, answer, slot->shared, true) : NULL;
    int code;

    if (!reply)
        return NULL;
    code = tr_request_reply(slot->message, reply->message);
    if (code)
        return raise_code(self->state, code, "reply");
    slot->message = NULL;
    reply->message = NULL;
    Py_RETURN_NONE;
}

/* Answer with an object, which may look into the request itself: it is copied first. */
PyObject *message_reply(PyObject *object, PyObject *value)
{
    MessageObject *self = (MessageObject *)object;
    Slot *slot = request_slot(object, true);
    tr_message *reply;
    int code;

    if (!slot)
        return NULL;
    if (Py_TYPE(value) == self->state->message_type)
        return reply_message(object, value);
    /* After its deadline nobody wants the reply: no need to wait longer for a slot. */
    code = encode_object(self->state, slot->shared, value,
                         (Patience){tr_request_remaining_ns(slot->message), NULL, NULL},
                         &reply);
    if (code)
        return raise_code(self->state, code, "reply");
    slot = request_slot(object, true); /* encoding may have run code */
    code = slot ? tr_request_reply(slot->message, reply) : RAISED;
    if (code) {
        tr_message_release(reply);
        return raise_code(self->state, code, "reply");
    }
    slot->message = NULL;
    Py_RETURN_NONE;
}

/* Whether an error of encoding left the request as it was. */
static bool is_whole(int code)
{
    return code == TR_EMSGSIZE || code == TR_ENOSPC || code == TR_EOVERFLOW ||
           code == TR_ENAMETOOLONG;
}

/* _reply_reusing(object) -> whether the slot of the request had room for the answer, which is
 * sent then: requests may have all slots, and so no answer would ever get one. */
PyObject *message_reply_reusing(PyObject *object, PyObject *value)
{
    MessageObject *self = (MessageObject *)object;
    Slot *slot = request_slot(object, true);
    tr_message *reply;
    int code;

    if (!slot)
        return NULL;
    if (slot->views) /* the answer may look into it */
        Py_RETURN_FALSE;
    reply = slot->message;
    code = encode_object(self->state, slot->shared, value,
                         (Patience){REUSE_NS, NULL, NULL}, &reply);
    if (is_whole(code))
        Py_RETURN_FALSE;
    slot = request_slot(object, true); /* encoding may have run code */
    if (!slot)
        return NULL;
    if (!code)
        code = tr_request_reply(slot->message, NULL);
    if (!code || !tr_message_is_request(slot->message))
        slot->message = NULL; /* what cannot be filled is released */
    if (code)
        return raise_code(self->state, code, "reply");
    Py_RETURN_TRUE;
}

PyObject *message_reply_error(PyObject *object, PyObject *args)
{
    MessageObject *self = (MessageObject *)object;
    Slot *slot = request_slot(object, true);
    const char *text;
    int number, code;

    if (!slot || !PyArg_ParseTuple(args, "is:reply_error", &number, &text))
        return NULL;
    code = tr_request_fail(slot->message, number, text);
    if (code)
        return raise_code(self->state, code, "reply");
    slot->message = NULL;
    Py_RETURN_NONE;
}

PyObject *message_is_request(PyObject *object, void *unused)
{
    Slot *slot = request_slot(object, true);

    (void)unused;
    return slot ? PyBool_FromLong(tr_message_is_request(slot->message)) : NULL;
}

PyObject *message_remaining(PyObject *object, void *unused)
{
    Slot *slot = request_slot(object, true);
    int64_t left_ns;

    (void)unused;
    if (!slot)
        return NULL;
    left_ns = tr_request_remaining_ns(slot->message);
    if (left_ns < 0)
        Py_RETURN_NONE;
    return PyFloat_FromDouble((double)left_ns / 1e9);
}

PyObject *remote_code(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLong(tr_error_remote_code());
}
