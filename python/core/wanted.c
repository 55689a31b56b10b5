/* SPDX-License-Identifier: MIT */
/* wanted.c - what a loan needs that found no slot. Event loops keep it after the call, and wait
 * sets wait for it, so it has a copy of all that the loan was asked for. */
#include "core.h"

#include <tensoring/waitset.h>

typedef struct WantedObject {
    PyObject head;
    PyObject *arena;   /* the Arena object */
    PyObject *channel; /* that the message is for, or NULL */
    tr_tensor_spec *specs;
    size_t n;
} WantedObject;

static size_t text_bytes(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *copy_text(char **at, const char *text)
{
    const char *copy = text ? *at : NULL;

    if (text)
        memcpy(*at, text, text_bytes(text));
    *at += text_bytes(text);
    return copy;
}

/* One block: the specs, then their shapes, then their texts. */
static tr_tensor_spec *copy_specs(const tr_tensor_spec *specs, size_t n)
{
    size_t dims = 0, text = 0;
    tr_tensor_spec *copy;
    int64_t *shape;
    char *at;

    for (size_t i = 0; i < n; i++) {
        dims += specs[i].ndim;
        text += text_bytes(specs[i].name) + text_bytes(specs[i].descr);
    }
    copy = PyMem_Malloc(n * sizeof(*copy) + dims * sizeof(*shape) + text + 1);
    if (!copy)
        return NULL;
    shape = (int64_t *)(copy + n);
    at = (char *)(shape + dims);
    for (size_t i = 0; i < n; i++) {
        copy[i] = specs[i];
        copy[i].shape = shape;
        if (specs[i].ndim)
            memcpy(shape, specs[i].shape, specs[i].ndim * sizeof(*shape));
        shape += specs[i].ndim;
        copy[i].name = copy_text(&at, specs[i].name);
        copy[i].descr = copy_text(&at, specs[i].descr);
    }
    return copy;
}

PyObject *wanted_new(Shared *shared, ChannelObject *channel, const tr_tensor_spec *specs,
                     size_t n)
{
    State *state = ((ArenaObject *)shared->object)->state;
    WantedObject *self = (WantedObject *)PyType_GenericAlloc(state->wanted_type, 0);

    if (!self)
        return NULL;
    self->arena = Py_NewRef(shared->object);
    self->channel = Py_XNewRef((PyObject *)channel);
    self->specs = copy_specs(specs, n);
    self->n = n;
    if (!self->specs) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

PyObject *wanted_channel(PyObject *wanted)
{
    return ((WantedObject *)wanted)->channel;
}

int wanted_add(State *state, PyObject *object, tr_waitset *set, uint64_t token)
{
    const WantedObject *self = (WantedObject *)object;
    ChannelObject *channel = (ChannelObject *)self->channel;

    if (!channel || !channel->loan)
        return tr_waitset_add_loan(set, self->specs, self->n, token);
    if (PyObject_TypeCheck(self->channel, state->queue_type))
        return tr_waitset_add_queue_loan(set, channel->handle, self->specs, self->n,
                                         token);
    return tr_waitset_add_broadcast_loan(set, channel->handle, self->specs, self->n,
                                         token);
}

static void wanted_dealloc(PyObject *object)
{
    WantedObject *self = (WantedObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc free_object = PyType_GetSlot(type, Py_tp_free);

    Py_XDECREF(self->arena);
    Py_XDECREF(self->channel);
    PyMem_Free(self->specs);
    free_object(object);
    Py_DECREF(type);
}

static size_t spec_bytes(const tr_tensor_spec *spec)
{
    return sizeof(spec->dtype) + sizeof(spec->flags) + sizeof(spec->ndim) +
           spec->ndim * sizeof(*spec->shape) + text_bytes(spec->name) +
           text_bytes(spec->descr) + 2;
}

static char *write_bytes(char *at, const void *bytes, size_t count)
{
    if (count)
        memcpy(at, bytes, count);
    return at + count;
}

/* A text that is missing differs from an empty one. */
static char *write_text(char *at, const char *text)
{
    *at = text ? 1 : 0;
    return write_bytes(at + 1, text, text_bytes(text));
}

static char *write_spec(char *at, const tr_tensor_spec *spec)
{
    at = write_bytes(at, &spec->dtype, sizeof(spec->dtype));
    at = write_bytes(at, &spec->flags, sizeof(spec->flags));
    at = write_bytes(at, &spec->ndim, sizeof(spec->ndim));
    at = write_bytes(at, spec->shape, spec->ndim * sizeof(*spec->shape));
    at = write_text(at, spec->name);
    return write_text(at, spec->descr);
}

static PyObject *get_arena(PyObject *object, void *unused)
{
    (void)unused;
    return Py_NewRef(((WantedObject *)object)->arena);
}

/* The same bytes for loans that need the same. Texts end with their 0; how long a shape is comes
 * before it. */
static PyObject *get_key(PyObject *object, void *unused)
{
    const WantedObject *self = (WantedObject *)object;
    size_t bytes = 0;
    PyObject *key;
    char *at;

    (void)unused;
    for (size_t i = 0; i < self->n; i++)
        bytes += spec_bytes(&self->specs[i]);
    key = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes);
    at = key ? PyBytes_AsString(key) : NULL;
    for (size_t i = 0; i < self->n && key; i++)
        at = write_spec(at, &self->specs[i]);
    return key;
}

static PyObject *get_channel(PyObject *object, void *unused)
{
    PyObject *channel = ((WantedObject *)object)->channel;

    (void)unused;
    return Py_NewRef(channel ? channel : Py_None);
}

static PyGetSetDef wanted_getset[] = {
    {"arena", get_arena, NULL, "The arena that has no slot for it.", NULL},
    {"key", get_key, NULL, "The same for all that need the same.", NULL},
    {"channel", get_channel, NULL, "What the message is for, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot wanted_slots[] = {
    {Py_tp_doc, "What a loan needs that found no slot."},
    {Py_tp_dealloc, wanted_dealloc},
    {Py_tp_getset, wanted_getset},
    {0, NULL},
};

PyType_Spec wanted_spec = {
    .name = "tensoring._core.Wanted",
    .basicsize = sizeof(WantedObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = wanted_slots,
};
