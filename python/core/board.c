/* SPDX-License-Identifier: MIT */
/* board.c - the Board type: the newest message of each key. */
#include "core.h"

#include <tensoring/board.h>

static void forget(void *handle)
{
    tr_board_close(handle);
}

static PyObject *board_open(PyObject *type, PyObject *args)
{
    tr_board_options options = TR_BOARD_OPTIONS_INIT;
    State *state = state_of((PyTypeObject *)type);
    PyObject *arena;
    const char *name;
    Shared *shared;
    tr_board *board;
    int code;

    if (!PyArg_ParseTuple(args, "O!sO&:_open", state->arena_type, &arena, &name, to_u32,
                          &options.capacity))
        return NULL;
    shared = shared_of(arena);
    if (!shared)
        return NULL;
    code = tr_board_open(shared->arena, name, &options, &board);
    if (code)
        return raise_code(state, code, "board");
    return channel_new((PyTypeObject *)type, state, shared, board, forget, NULL);
}

/* put(key, object, expected or None) -> version */
static PyObject *board_put(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    const char *key;
    PyObject *value, *expected = Py_None, *timeout = Py_None;
    uint64_t wanted = 0;
    int64_t timeout_ns;
    tr_message *message;
    uint64_t version = 0;
    int code;

    if (!PyArg_ParseTuple(args, "O&O|OO:put", to_key, &key, &value, &expected,
                          &timeout) ||
        get_timeout(timeout, &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    if (expected != Py_None && !to_expected(expected, &wanted))
        return NULL;
    self->busy++;
    code = encode_object(self->state, self->shared, value,
                         (Patience){timeout_ns, self, NULL}, &message);
    if (!code) {
        code = expected == Py_None
                   ? tr_board_put(self->handle, key, message, &version)
                   : tr_board_put_if(self->handle, key, message, wanted, &version);
        if (code)
            tr_message_release(message);
    }
    channel_leave(self);
    if (code)
        return raise_code(self->state, code, "put");
    return PyLong_FromUnsignedLongLong(version);
}

/* _put_message(key, message, expected or None) -> version, without a copy. Views of the message
 * go on showing its slot, which is the board's then. */
static PyObject *board_put_message(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    PyObject *message, *expected = Py_None;
    uint64_t wanted = 0, version = 0;
    const char *key;
    Slot *slot;
    int code;

    if (!PyArg_ParseTuple(args, "O&O|O:put_message", to_key, &key, &message, &expected) ||
        !channel_is_open(self) ||
        (expected != Py_None && !to_expected(expected, &wanted)))
        return NULL;
    slot = slot_to_send(self->state, message, self->shared, true);
    if (!slot)
        return NULL;
    code = expected == Py_None
               ? tr_board_put(self->handle, key, slot->message, &version)
               : tr_board_put_if(self->handle, key, slot->message, wanted, &version);
    if (code)
        return raise_code(self->state, code, "put");
    slot->message = NULL;
    return PyLong_FromUnsignedLongLong(version);
}

/* get(key) -> (object, version) */
static PyObject *board_get(PyObject *object, PyObject *name)
{
    ChannelObject *self = (ChannelObject *)object;
    PyObject *value;
    tr_message *message;
    const char *key;
    uint64_t version;
    int code;

    if (!to_key(name, &key) || !channel_is_open(self))
        return NULL;
    code = tr_board_get(self->handle, key, &message, &version);
    if (code)
        return raise_code(self->state, code, "get");
    value = decode_message(self->state, self->shared, message);
    return value ? Py_BuildValue("(NK)", value, (unsigned long long)version) : NULL;
}

/* [(object, version) or None] of n messages, which it takes over. */
static PyObject *decode_many(ChannelObject *self, Py_ssize_t n, tr_message *messages[],
                             const uint64_t versions[])
{
    PyObject *found = PyList_New(n);

    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *value, *pair;

        if (!found) {
            tr_message_release(messages[i]);
            continue;
        }
        value = messages[i] ? decode_message(self->state, self->shared, messages[i])
                            : Py_NewRef(Py_None);
        pair = value && messages[i]
                   ? Py_BuildValue("(NK)", value, (unsigned long long)versions[i])
                   : value;
        if (!pair || PyList_SetItem(found, i, pair) < 0)
            Py_CLEAR(found);
    }
    return found;
}

static int get_many(ChannelObject *self, PyObject *keys, Py_ssize_t n, PyObject **found)
{
    const char **names = PyMem_Calloc((size_t)n + 1, sizeof(*names));
    tr_message **messages = PyMem_Calloc((size_t)n + 1, sizeof(*messages));
    uint64_t *versions = PyMem_Calloc((size_t)n + 1, sizeof(*versions));
    int code = names && messages && versions ? 0 : TR_ENOMEM;

    for (Py_ssize_t i = 0; i < n && !code; i++) {
        PyObject *key = PyList_GetItem(keys, i);

        code = key && to_key(key, &names[i]) ? 0 : RAISED;
    }
    if (!code)
        code = tr_board_get_many(self->handle, names, (size_t)n, messages, versions);
    if (!code)
        *found = decode_many(self, n, messages, versions);
    PyMem_Free(names);
    PyMem_Free(messages);
    PyMem_Free(versions);
    return code;
}

/* _get_many([key, ...]) -> [(object, version) or None, ...] */
static PyObject *board_get_many(PyObject *object, PyObject *keys)
{
    ChannelObject *self = (ChannelObject *)object;
    Py_ssize_t n = PyList_Size(keys);
    PyObject *found = NULL;
    int code;

    if (n < 0 || !channel_is_open(self))
        return NULL;
    self->busy++;
    code = get_many(self, keys, n, &found);
    channel_leave(self);
    return code ? raise_code(self->state, code, "get") : found;
}

typedef struct WaitCall {
    tr_board *board;
    const char *key;
    uint64_t newer_than;
    tr_message *message;
    uint64_t version;
} WaitCall;

static int wait_op_of_board(void *arg, int64_t timeout_ns)
{
    WaitCall *call = arg;

    return tr_board_wait(call->board, call->key, call->newer_than, timeout_ns,
                         &call->message, &call->version);
}

/* wait(key, newer than, timeout) -> (object, version) */
static PyObject *board_wait(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    PyObject *timeout = Py_None, *value = NULL;
    WaitCall call = {.board = NULL};
    int64_t timeout_ns;
    int code;

    if (!PyArg_ParseTuple(args, "O&|O&O:wait", to_key, &call.key, to_newer_than,
                          &call.newer_than, &timeout) ||
        get_timeout(timeout, &timeout_ns) < 0 || !channel_is_open(self))
        return NULL;
    call.board = self->handle;
    self->busy++;
    code = wait_in_slices(wait_op_of_board, &call, timeout_ns, NULL, 0);
    if (code)
        raise_code(self->state, code, "receive");
    else
        value = decode_message(self->state, self->shared, call.message);
    channel_leave(self);
    return value ? Py_BuildValue("(NK)", value, (unsigned long long)call.version) : NULL;
}

static PyObject *board_delete(PyObject *object, PyObject *args)
{
    ChannelObject *self = (ChannelObject *)object;
    const char *key;
    uint64_t expected = TR_BOARD_ANY_VERSION;
    int code;

    if (!PyArg_ParseTuple(args, "O&|O&:delete", to_key, &key, to_expected, &expected) ||
        !channel_is_open(self))
        return NULL;
    code = tr_board_delete(self->handle, key, expected);
    if (code)
        return raise_code(self->state, code, "get");
    Py_RETURN_NONE;
}

static PyObject *board_version(PyObject *object, PyObject *name)
{
    ChannelObject *self = (ChannelObject *)object;
    const char *key;

    if (!to_key(name, &key) || !channel_is_open(self))
        return NULL;
    return PyLong_FromUnsignedLongLong(tr_board_version(self->handle, key));
}

static PyObject *board_keys(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;
    char key[TR_MAX_KEY_BYTES + 1];
    uint32_t cursor = 0;
    PyObject *keys;
    int code = 0;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    keys = PyList_New(0);
    while (keys && (code = tr_board_next(self->handle, &cursor, key, NULL)) == 0) {
        PyObject *name = text_from(key);

        if (!name || PyList_Append(keys, name) < 0)
            Py_CLEAR(keys);
        Py_XDECREF(name);
    }
    if (keys && code != TR_ENOENT) {
        Py_DECREF(keys);
        return raise_code(self->state, code, "keys");
    }
    return keys;
}

static PyObject *board_capacity(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    return PyLong_FromUnsignedLong(tr_board_capacity(self->handle));
}

static PyObject *board_name(PyObject *object, void *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    return PyUnicode_FromString(tr_board_name(self->handle));
}

static PyGetSetDef board_getset[] = {
    {"capacity", board_capacity, NULL, "How many keys it has room for.", NULL},
    {"name", board_name, NULL, "Its name in the arena.", NULL},
    {"closed", channel_closed, NULL, "Whether this handle, or its arena, is closed.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef board_methods[] = {
    {"_open", board_open, METH_VARARGS | METH_CLASS, NULL},
    {"_put", board_put, METH_VARARGS, NULL},
    {"_encode_now", channel_encode_now, METH_O, NULL},
    {"_put_message", board_put_message, METH_VARARGS, NULL},
    {"_get", board_get, METH_O, NULL},
    {"_get_many", board_get_many, METH_O, NULL},
    {"_wait", board_wait, METH_VARARGS, NULL},
    {"_delete", board_delete, METH_VARARGS, NULL},
    {"_version", board_version, METH_O, NULL},
    {"_keys", board_keys, METH_NOARGS, NULL},
    {"close", channel_close, METH_NOARGS,
     "close($self, /)\n--\n\nForget this handle; the board stays."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot board_slots[] = {
    {Py_tp_doc, "The newest message of each key."},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_methods, board_methods},
    {Py_tp_getset, board_getset},
    {Py_nb_bool, channel_true},
    {0, NULL},
};

PyType_Spec board_spec = {
    .name = "tensoring._core.Board",
    .basicsize = sizeof(ChannelObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = board_slots,
};
