/* SPDX-License-Identifier: MIT */
/* message.c - a message that is loaned or received and not decoded. */
#include "core.h"

static void message_dealloc(PyObject *self)
{
    MessageObject *message = (MessageObject *)self;
    PyTypeObject *type = Py_TYPE(self);

    if (message->slot)
        slot_drop(message->slot);
    PyObject_Free(self);
    Py_DECREF(type);
}

static tr_message *live(PyObject *self)
{
    Slot *slot = ((MessageObject *)self)->slot;

    if (slot && slot->message)
        return slot->message;
    PyErr_SetString(PyExc_ValueError, "the message was sent or released");
    return NULL;
}

static const tr_tensor *tensor_at(PyObject *self, PyObject *index)
{
    tr_message *message = live(self);
    size_t i;
    const tr_tensor *tensor;

    if (!message)
        return NULL;
    i = PyLong_AsSize_t(index);
    if (i == (size_t)-1 && PyErr_Occurred())
        return NULL;
    tensor = tr_message_tensor(message, i);
    if (!tensor)
        PyErr_SetString(PyExc_IndexError, "the message has no such tensor");
    return tensor;
}

static Py_ssize_t message_length(PyObject *self)
{
    tr_message *message = live(self);

    return message ? (Py_ssize_t)tr_message_count(message) : -1;
}

static PyObject *message_array(PyObject *self, PyObject *index)
{
    const tr_tensor *tensor = tensor_at(self, index);
    MessageObject *message = (MessageObject *)self;

    return tensor ? array_of(message->state, message->slot, tensor) : NULL;
}

static PyObject *message_view(PyObject *self, PyObject *index)
{
    const tr_tensor *tensor = tensor_at(self, index);
    MessageObject *message = (MessageObject *)self;

    return tensor ? view_new(message->state, message->slot, tensor) : NULL;
}

static PyObject *message_name(PyObject *self, PyObject *index)
{
    const tr_tensor *tensor = tensor_at(self, index);

    return tensor ? text_from(tensor->name) : NULL;
}

static PyObject *message_header(PyObject *self, PyObject *unused)
{
    tr_message *message = live(self);
    tr_header header = TR_HEADER_INIT;
    int code;

    (void)unused;
    if (!message)
        return NULL;
    code = tr_message_header_get(message, &header);
    if (code)
        return raise_code(((MessageObject *)self)->state, code, "header");
    return Py_BuildValue(
        "{sI sK sK sL sL sI sI sK sO sy# sN}", "content", header.content, "sequence",
        (unsigned long long)header.sequence, "correlation_id",
        (unsigned long long)header.correlation_id, "deadline_ns",
        (long long)header.deadline_ns, "published_ns", (long long)header.published_ns,
        "deliveries", header.deliveries, "sender", header.sender, "last_receiver",
        (unsigned long long)header.last_receiver, "has_crc",
        header.has_crc ? Py_True : Py_False, "user", (const char *)header.user,
        (Py_ssize_t)sizeof(header.user), "content_type", text_from(header.content_type));
}

/* The header of a living message, for @p what. False with an exception. */
static bool read_header(PyObject *self, const char *what, tr_header *header)
{
    tr_message *message = live(self);
    int code;

    if (!message)
        return false;
    *header = (tr_header){.struct_size = sizeof(*header)};
    code = tr_message_header_get(message, header);
    if (code)
        raise_code(((MessageObject *)self)->state, code, what);
    return code == 0;
}

static PyObject *message_content(PyObject *self, void *unused)
{
    tr_header header;

    (void)unused;
    return read_header(self, "content", &header)
               ? Py_BuildValue("(IN)", header.content, text_from(header.content_type))
               : NULL;
}

static PyObject *message_deliveries(PyObject *self, void *unused)
{
    tr_header header;

    (void)unused;
    return read_header(self, "deliveries", &header)
               ? PyLong_FromUnsignedLong(header.deliveries)
               : NULL;
}

static PyObject *message_correlation_id(PyObject *self, void *unused)
{
    tr_header header;

    (void)unused;
    return read_header(self, "correlation_id", &header)
               ? PyLong_FromUnsignedLongLong(header.correlation_id)
               : NULL;
}

static PyObject *message_open(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    static const char *const names[] = {"load", "copy", NULL};
    MessageObject *message = (MessageObject *)self;
    PyObject *values[2] = {NULL};

    if (!live(self) || parse("_open", args, nargs, kwnames, names, 1, values) < 0)
        return NULL;
    return decode_carried(message->state, message->slot, values[0], values[1] == Py_True);
}

static int apply_content(PyObject *content, tr_header *header)
{
    uint32_t number;
    const char *type;

    if (!content || content == Py_None)
        return 0;
    if (!PyTuple_Check(content)) {
        PyErr_SetString(PyExc_TypeError, "content is (number, type)");
        return -1;
    }
    if (!PyArg_ParseTuple(content, "O&s", to_u32, &number, &type))
        return -1;
    if (strlen(type) > TR_MAX_CONTENT_TYPE) {
        PyErr_Format(PyExc_ValueError, "a content type has at most %d bytes",
                     TR_MAX_CONTENT_TYPE);
        return -1;
    }
    header->content = number;
    memset(header->content_type, 0, sizeof(header->content_type));
    memcpy(header->content_type, type, strlen(type));
    return 0;
}

static int apply_user(PyObject *user, tr_header *header)
{
    char *bytes;
    Py_ssize_t length;

    if (!user || user == Py_None)
        return 0;
    if (PyBytes_AsStringAndSize(user, &bytes, &length) < 0)
        return -1;
    if (length > TR_USER_BYTES) {
        PyErr_Format(PyExc_ValueError, "a message has %d bytes for the user, not %zd",
                     TR_USER_BYTES, length);
        return -1;
    }
    memset(header->user, 0, sizeof(header->user));
    memcpy(header->user, bytes, (size_t)length);
    return 0;
}

static PyObject *message_set(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames)
{
    static const char *const names[] = {"content", "user", "correlation_id", NULL};
    tr_message *message = live(self);
    tr_header header = TR_HEADER_INIT;
    PyObject *values[3] = {NULL};
    int code;

    if (!message || parse("set", args, nargs, kwnames, names, 0, values) < 0)
        return NULL;
    code = tr_message_header_get(message, &header);
    if (code)
        return raise_code(((MessageObject *)self)->state, code, "set");
    if (apply_content(values[0], &header) < 0 || apply_user(values[1], &header) < 0)
        return NULL;
    if (values[2] && values[2] != Py_None) {
        header.correlation_id = PyLong_AsUnsignedLongLong(values[2]);
        if (PyErr_Occurred())
            return NULL;
    }
    code = tr_message_header_set(message, &header);
    if (code)
        return raise_code(((MessageObject *)self)->state, code, "set");
    Py_RETURN_NONE;
}

static PyObject *message_release(PyObject *self, PyObject *unused)
{
    MessageObject *message = (MessageObject *)self;
    Slot *slot = message->slot;

    (void)unused;
    if (!slot || !slot->message)
        Py_RETURN_NONE;
    if (slot->views) {
        PyErr_Format(PyExc_BufferError, "%zu arrays still look into the message",
                     slot->views);
        return NULL;
    }
    message->slot = NULL;
    tr_message_release(slot->message);
    slot->message = NULL;
    slot_drop(slot);
    Py_RETURN_NONE;
}

static PyObject *message_seal(PyObject *self, PyObject *unused)
{
    tr_message *message = live(self);
    int code = message ? tr_message_seal(message) : 0;

    (void)unused;
    if (!message)
        return NULL;
    if (code)
        return raise_code(((MessageObject *)self)->state, code, "seal");
    Py_RETURN_NONE;
}

static PyObject *message_verify(PyObject *self, PyObject *unused)
{
    tr_message *message = live(self);
    int code = message ? tr_message_verify(message) : 0;

    (void)unused;
    if (!message)
        return NULL;
    if (code)
        return raise_code(((MessageObject *)self)->state, code, "verify");
    Py_RETURN_NONE;
}

static PyObject *mark(PyObject *self, int (*change)(tr_message *message),
                      const char *what)
{
    tr_message *message = live(self);
    int code = message ? change(message) : 0;

    if (!message)
        return NULL;
    if (code)
        return raise_code(((MessageObject *)self)->state, code, what);
    Py_RETURN_NONE;
}

static PyObject *message_device_begin(PyObject *self, PyObject *unused)
{
    (void)unused;
    return mark(self, tr_message_device_begin, "device_begin");
}

static PyObject *message_device_end(PyObject *self, PyObject *unused)
{
    (void)unused;
    return mark(self, tr_message_device_end, "device_end");
}

static PyObject *message_origin(PyObject *self, void *unused)
{
    tr_message *message = live(self);
    tr_origin origin = TR_ORIGIN_INIT;
    int code;

    (void)unused;
    if (!message)
        return NULL;
    code = tr_message_origin_get(message, &origin);
    if (code == TR_ENOENT)
        Py_RETURN_NONE;
    if (code)
        return raise_code(((MessageObject *)self)->state, code, "origin");
    return Py_BuildValue("(KK)", (unsigned long long)origin.source,
                         (unsigned long long)origin.number);
}

static PyObject *message_released(PyObject *self, void *unused)
{
    Slot *slot = ((MessageObject *)self)->slot;

    (void)unused;
    return PyBool_FromLong(!slot || !slot->message);
}

static PyObject *message_views(PyObject *self, void *unused)
{
    Slot *slot = ((MessageObject *)self)->slot;

    (void)unused;
    return PyLong_FromSize_t(slot ? slot->views : 0);
}

static PyObject *message_pickle(PyObject *self, void *unused)
{
    Slot *slot = ((MessageObject *)self)->slot;

    (void)unused;
    return PyBool_FromLong(slot && slot->shared->pickle);
}

static PyObject *message_max_expansion(PyObject *self, void *unused)
{
    Slot *slot = ((MessageObject *)self)->slot;

    (void)unused;
    return PyLong_FromUnsignedLong(slot ? slot->shared->max_expansion : 0);
}

/* Bytes from the first of a tensor to the last of any: they may lie over each other. */
static PyObject *message_nbytes(PyObject *self, void *unused)
{
    tr_message *message = live(self);
    uintptr_t low = UINTPTR_MAX, high = 0;

    (void)unused;
    if (!message)
        return NULL;
    for (size_t i = 0; i < tr_message_count(message); i++) {
        const tr_tensor *tensor = tr_message_tensor(message, i);
        uintptr_t at = (uintptr_t)tensor->data;

        if (!tensor->nbytes)
            continue;
        low = at < low ? at : low;
        high = at + tensor->nbytes > high ? at + tensor->nbytes : high;
    }
    return PyLong_FromUnsignedLongLong(high > low ? high - low : 0);
}

static PyObject *message_repr(PyObject *self)
{
    Slot *slot = ((MessageObject *)self)->slot;

    if (!slot || !slot->message)
        return PyUnicode_FromString("<tensoring.Message, gone>");
    return PyUnicode_FromFormat("<tensoring.Message of %zu tensors, %zu views>",
                                tr_message_count(slot->message), slot->views);
}

static PyObject *message_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    Py_INCREF(self);
    return self;
}

static PyObject *message_exit(PyObject *self, PyObject *unused)
{
    (void)unused;
    return message_release(self, NULL);
}

static PyGetSetDef message_getset[] = {
    {"content", message_content, NULL, "(number, content type).", NULL},
    {"deliveries", message_deliveries, NULL, "How often it was handed out before.", NULL},
    {"correlation_id", message_correlation_id, NULL, "Its number for the user.", NULL},
    {"origin", message_origin, NULL,
     "(source, number) of the queue from which a bridge has carried it; None: it was "
     "sent "
     "in this arena. Two messages with one origin are one that came twice.",
     NULL},
    {"released", message_released, NULL, "Whether it was sent or released.", NULL},
    {"views", message_views, NULL, "How many arrays look into it.", NULL},
    {"is_request", message_is_request, NULL, "Whether somebody waits for a reply.", NULL},
    {"remaining", message_remaining, NULL,
     "Seconds that the requester still waits; None: forever.", NULL},
    {"pickle", message_pickle, NULL, "Whether it may be read as a pickle here.", NULL},
    {"nbytes", message_nbytes, NULL, "Bytes of the payload.", NULL},
    {"max_expansion", message_max_expansion, NULL,
     "How many times its size decoding it may take.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef message_methods[] = {
    {"array", message_array, METH_O,
     "array($self, index, /)\n--\n\n"
     "Tensor `index`, from 0, as an ndarray over the slot, which is in use as long as "
     "the array lives. IndexError if there is none."},
    {"view", message_view, METH_O,
     "view($self, index, /)\n--\n\n"
     "Tensor `index`, from 0, as a View, for DLPack and memoryview. IndexError if there "
     "is none."},
    {"name", message_name, METH_O,
     "name($self, index, /)\n--\n\nName of tensor `index`; \"\": it has none."},
    {"header", message_header, METH_NOARGS,
     "header($self, /)\n--\n\nThe header as a dict, see tensoring.reports.Header."},
    {"set", (PyCFunction)(void (*)(void))message_set, METH_FASTCALL | METH_KEYWORDS,
     "set($self, /, content=None, user=None, correlation_id=None)\n--\n\n"
     "Change the header of a message that is loaned, or received from a queue. content: "
     "(number, content type), the type at most 63 bytes and of number 255 alone; user: "
     "at most 64 bytes; correlation_id: 0 to 2**64 - 1."},
    {"_open", (PyCFunction)(void (*)(void))message_open, METH_FASTCALL | METH_KEYWORDS,
     NULL},
    {"reply", message_reply, METH_O,
     "reply($self, value, /)\n--\n\n"
     "Answer a request, with an object or a loaned message; the request is released. "
     "BufferError if arrays look into it."},
    {"_reply_reusing", message_reply_reusing, METH_O, NULL},
    {"reply_error", message_reply_error, METH_VARARGS,
     "reply_error($self, code, text, /)\n--\n\n"
     "Answer a request with an error: the requester's RemoteError has `code`, a number "
     "of the server's own, as its remote_code, and `text` in its message."},
    {"seal", message_seal, METH_NOARGS,
     "seal($self, /)\n--\n\n"
     "Add a CRC32C of the payload to the header. The payload must not change after it."},
    {"verify", message_verify, METH_NOARGS,
     "verify($self, /)\n--\n\n"
     "Compare the payload with its checksum: CorruptError if it has changed. Without a "
     "checksum nothing is compared."},
    {"device_begin", message_device_begin, METH_NOARGS,
     "device_begin($self, /)\n--\n\n"
     "From now on a device may write into the message. Needs Arena.device_fd()."},
    {"device_end", message_device_end, METH_NOARGS,
     "device_end($self, /)\n--\n\nThe device is done with the message."},
    {"release", message_release, METH_NOARGS,
     "release($self, /)\n--\n\nGive the slot back. BufferError if arrays look into it."},
    {"__enter__", message_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n"},
    {"__exit__", message_exit, METH_VARARGS, "__exit__($self, /, *args)\n--\n\n"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot message_slots[] = {
    {Py_tp_doc, "A message that is loaned or received: its header and its tensors."},
    {Py_tp_dealloc, message_dealloc},
    {Py_tp_repr, message_repr},
    {Py_tp_methods, message_methods},
    {Py_tp_getset, message_getset},
    {Py_mp_length, message_length},
    {0, NULL},
};

PyType_Spec message_spec = {
    .name = "tensoring.Message",
    .basicsize = sizeof(MessageObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = message_slots,
};
