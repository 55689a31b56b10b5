/* SPDX-License-Identifier: MIT */
/* slot.c - a message in hand, and the arrays that look into it.
 *
 *  ndarray -> View -> Slot -> Shared
 *
 * An ndarray holds its View as base, the View counts on the Slot, the Slot on the mapping.
 * So the slot is free exactly when the last array, slice, tensor or memoryview over it is
 * gone, in whatever order names and the arena were given up before. */
#include "core.h"

Slot *slot_new(Shared *shared, tr_message *message)
{
    Slot *slot = PyMem_Malloc(sizeof(*slot));

    if (!slot) {
        tr_message_release(message);
        PyErr_NoMemory();
        return NULL;
    }
    *slot = (Slot){.message = message, .shared = shared_take(shared), .users = 1};
    return slot;
}

void slot_drop(Slot *slot)
{
    if (--slot->users)
        return;
    tr_message_release(slot->message);
    keeping_let_go(slot);
    shared_drop(slot->shared);
    PyMem_Free(slot);
}

PyObject *view_new(State *state, Slot *slot, const tr_tensor *tensor)
{
    ViewObject *view = PyObject_New(ViewObject, state->view_type);

    if (!view)
        return NULL;
    view->state = state;
    view->slot = slot;
    view->index = (size_t)(tensor - tr_message_tensor(slot->message, 0));
    slot->users++;
    slot->views++;
    return (PyObject *)view;
}

PyObject *message_new(State *state, Slot *slot)
{
    MessageObject *message = PyObject_New(MessageObject, state->message_type);

    if (!message)
        return NULL;
    message->state = state;
    message->slot = slot;
    slot->users++;
    return (PyObject *)message;
}

static int size_index(unsigned int bits)
{
    switch (bits) {
    case 8:
        return 0;
    case 16:
        return 1;
    case 32:
        return 2;
    case 64:
        return 3;
    case 128:
        return 4;
    default:
        return -1;
    }
}

/* Where NumPy's dtype of a plain triple is kept, NULL for another. */
PyObject **cached_dtype(State *state, tr_dtype dtype)
{
    int size = size_index(dtype.bits);

    return dtype.lanes == 1 && size >= 0 && dtype.code < DTYPE_CODES
               ? &state->dtypes[dtype.code][size]
               : NULL;
}

/* A new reference to NumPy's dtype of @p tensor. */
static PyObject *dtype_of(State *state, const tr_tensor *tensor)
{
    PyObject **cached = *tensor->descr ? NULL : cached_dtype(state, tensor->dtype);
    PyObject *dtype;

    if (cached && *cached) {
        Py_INCREF(*cached);
        return *cached;
    }
    dtype = PyObject_CallFunction(state->dtype_for, "iiiN", (int)tensor->dtype.code,
                                  (int)tensor->dtype.bits, (int)tensor->dtype.lanes,
                                  text_from(tensor->descr));
    if (dtype && cached) {
        Py_INCREF(dtype);
        *cached = dtype;
    }
    return dtype;
}

static PyObject *shape_of(const tr_tensor *tensor)
{
    PyObject *shape = PyTuple_New(tensor->ndim);

    for (uint32_t i = 0; shape && i < tensor->ndim; i++) {
        PyObject *extent = PyLong_FromLongLong(tensor->shape[i]);

        if (!extent || PyTuple_SetItem(shape, i, extent) < 0)
            Py_CLEAR(shape);
    }
    return shape;
}

/* ndarray(shape, dtype, view[, 0, None, "F"]); steals nothing. */
static PyObject *call_ndarray(State *state, const tr_tensor *tensor, PyObject *shape,
                              PyObject *dtype, PyObject *view)
{
    PyObject *args, *array;

    if (tensor->flags & TR_TENSOR_F_ORDER && tensor->ndim > 1)
        args = PyTuple_Pack(6, shape, dtype, view, state->zero, Py_None, state->fortran);
    else
        args = PyTuple_Pack(3, shape, dtype, view);
    if (!args)
        return NULL;
    array = PyObject_Call(state->ndarray, args, NULL);
    Py_DECREF(args);
    return array;
}

/* Takes @p array over. */
static PyObject *copy_of(PyObject *array)
{
    PyObject *copy = PyObject_CallMethod(array, "copy", "s", "K");

    Py_DECREF(array);
    return copy;
}

/* A view of the tensor; a copy where nothing may look into the slot. */
PyObject *array_of(State *state, Slot *slot, const tr_tensor *tensor)
{
    PyObject *dtype = dtype_of(state, tensor);
    PyObject *shape = dtype ? shape_of(tensor) : NULL;
    PyObject *view = shape ? view_new(state, slot, tensor) : NULL;
    PyObject *array = view ? call_ndarray(state, tensor, shape, dtype, view) : NULL;

    Py_XDECREF(view);
    Py_XDECREF(shape);
    Py_XDECREF(dtype);
    return array && slot->copy ? copy_of(array) : array;
}

/* A message that could not be decoded goes back at once, whatever the exception keeps, unless
 * somebody looks into it. */
static void give_up(Slot *slot)
{
    if (slot->views || !slot->message)
        return;
    tr_message_release(slot->message);
    slot->message = NULL;
}

/* Takes @p message over, also on failure. */
PyObject *decode_message(State *state, Shared *shared, tr_message *message)
{
    Slot *slot = slot_new(shared, message);
    tr_header header = TR_HEADER_INIT;
    const tr_tensor *only;
    PyObject *object = NULL, *wrapped;
    int code;

    if (!slot)
        return NULL;
    keeping_received(slot);
    code = tr_message_header_get(message, &header);
    only = tr_message_count(message) == 1 ? tr_message_tensor(message, 0) : NULL;
    if (code) {
        raise_code(state, code, "receive");
    } else if (header.content == TR_CONTENT_TENSORS && only && !*only->name) {
        object = array_of(state, slot, only);
    } else if (shared->pickle && (is_tree(&header) || (only && is_pickle(&header)))) {
        object = is_tree(&header) ? decode_tree(state, slot, false)
                                  : decode_pickle(state, slot);
        if (!object)
            give_up(slot);
    } else {
        wrapped = message_new(state, slot);
        object = wrapped ? PyObject_CallFunctionObjArgs(state->decode, wrapped, NULL)
                         : NULL;
        if (!object)
            give_up(slot);
        Py_XDECREF(wrapped);
    }
    slot_drop(slot);
    return object;
}

/* The slot behind @p message, if it may be handed on. */
Slot *slot_to_send(State *state, PyObject *message, Shared *shared, bool even_if_viewed)
{
    Slot *slot;

    if (Py_TYPE(message) != state->message_type) {
        PyErr_SetString(PyExc_TypeError, "not a Message");
        return NULL;
    }
    slot = ((MessageObject *)message)->slot;
    if (!slot || !slot->message) {
        PyErr_SetString(PyExc_ValueError, "the message was sent or released");
        return NULL;
    }
    if (slot->shared != shared && slot->shared->arena != shared->arena) {
        PyErr_SetString(PyExc_ValueError, "the message lies in another arena");
        return NULL;
    }
    if (slot->views && !even_if_viewed) {
        PyErr_Format(PyExc_BufferError, "%zu arrays still look into the message",
                     slot->views);
        return NULL;
    }
    return slot;
}
