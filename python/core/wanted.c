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

    if (!channel)
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

static PyObject *get_arena(PyObject *object, void *unused)
{
    (void)unused;
    return Py_NewRef(((WantedObject *)object)->arena);
}

static PyObject *get_channel(PyObject *object, void *unused)
{
    PyObject *channel = ((WantedObject *)object)->channel;

    (void)unused;
    return Py_NewRef(channel ? channel : Py_None);
}

static PyGetSetDef wanted_getset[] = {
    {"arena", get_arena, NULL, "The arena that has no slot for it.", NULL},
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
