/* SPDX-License-Identifier: MIT */
/* carry.c - what a stand-in carries: any object, as one message.
 *
 * An array or bytes go raw; else the object goes as a tree, if the tree has a word for all of
 * it; else the whole goes as what the caller's `dump` makes of it, a pickle and its buffers.
 * Only arenas that allow pickle carry objects. */
#include "tree.h"

#include "core.h"

typedef struct Content {
    uint32_t number;
    const char *type;
} Content;

static const Content tensors = {TR_CONTENT_TENSORS, ""};
static const Content octets = {TR_CONTENT_OCTETS, ""};
static const Content tree = {TR_CONTENT_OTHER, TREE_TYPE};
static const Content pickle = {TR_CONTENT_PICKLE, ""};

enum { LEAST_OCTETS = 1024 }; /* fewer are a tree, which is read sooner */

static int encode_array(State *state, Shared *shared, PyObject *array, Patience patience,
                        tr_message **out)
{
    Source source;
    int needs = source_plain_array(state, array, &source);
    int code = needs < 0 ? RAISED : NO_WORD;

    if (needs < 0)
        return RAISED;
    if (!needs)
        code = encode_one(shared, &source, patience, out);
    source_close(&source);
    return code;
}

static int encode_octets(Shared *shared, PyObject *bytes, Patience patience,
                         tr_message **out)
{
    Source source;

    source_raw(&source, PyBytes_AsString(bytes), (size_t)PyBytes_Size(bytes));
    return encode_one(shared, &source, patience, out);
}

static int open_buffer(State *state, PyObject *buffer, Source *source)
{
    (void)state;
    return source_bytes(buffer, source);
}

static int encode_dumped(State *state, Shared *shared, PyObject *object, PyObject *dump,
                         Patience patience, tr_message **out)
{
    PyObject *dumped = PyObject_CallFunctionObjArgs(dump, object, NULL);
    PyObject *buffers = dumped ? PySequence_List(dumped) : NULL;
    int code = RAISED;

    if (buffers)
        code = encode_list(state, shared, buffers, open_buffer, patience, out);
    Py_XDECREF(buffers);
    Py_XDECREF(dumped);
    return code;
}

static int finish(int code, const Content *content, uint64_t id, tr_message **made)
{
    if (code || (content->number == TR_CONTENT_TENSORS && !id))
        return code;
    code = set_content(*made, content->number, content->type, id);
    if (code)
        tr_message_release(*made);
    return code;
}

int encode_kept(Shared *shared, PyObject *kept, Patience patience, tr_message **out)
{
    return finish(loan_tree(shared, kept, patience, out), &tree, 0, out);
}

int encode_carried(State *state, Shared *shared, PyObject *object, PyObject *dump,
                   uint64_t id, Patience patience, tr_message **out)
{
    const Content *content = &tree;
    int code = NO_WORD;

    if ((PyObject *)Py_TYPE(object) == state->ndarray) {
        content = &tensors;
        code = encode_array(state, shared, object, patience, out);
    } else if (PyBytes_CheckExact(object) && PyBytes_Size(object) >= LEAST_OCTETS) {
        content = &octets;
        code = encode_octets(shared, object, patience, out);
    } else {
        code = encode_tree(state, shared, object, patience, out);
    }
    if (code == NO_WORD) {
        content = &pickle;
        code = encode_dumped(state, shared, object, dump, patience, out);
    }
    return finish(code, content, id, out);
}

PyObject *array_or_copy(State *state, Slot *slot, const tr_tensor *tensor, bool copy)
{
    PyObject *array = array_of(state, slot, tensor);
    PyObject *own;

    if (!array || !copy || slot->copy)
        return array;
    own = PyObject_CallMethod(array, "copy", "s", "K");
    Py_DECREF(array);
    return own;
}

PyObject *decode_pickle(State *state, Slot *slot)
{
    PyObject *view = view_new(state, slot, tr_message_tensor(slot->message, 0));
    PyObject *object = view ? PyObject_CallFunctionObjArgs(state->loads, view, NULL)
                            : NULL;

    Py_XDECREF(view);
    return object;
}

static PyObject *load_parts(State *state, Slot *slot, PyObject *load)
{
    Py_ssize_t n = (Py_ssize_t)tr_message_count(slot->message);
    PyObject *parts, *object;

    if (n == 1)
        return decode_pickle(state, slot);
    parts = PyList_New(n);
    for (Py_ssize_t i = 0; parts && i < n; i++) {
        PyObject *array = array_of(state, slot,
                                   tr_message_tensor(slot->message, (size_t)i));

        if (!array || PyList_SetItem(parts, i, array) < 0)
            Py_CLEAR(parts);
    }
    object = parts ? PyObject_CallFunctionObjArgs(load, parts, NULL) : NULL;
    Py_XDECREF(parts);
    return object;
}

static bool is(const tr_header *header, const Content *content)
{
    return header->content == content->number &&
           strcmp(header->content_type, content->type) == 0;
}

bool is_tree(const tr_header *header)
{
    return is(header, &tree);
}

bool is_pickle(const tr_header *header)
{
    return is(header, &pickle);
}

PyObject *decode_carried(State *state, Slot *slot, PyObject *load, bool copy)
{
    tr_header header = TR_HEADER_INIT;
    const tr_tensor *first = tr_message_tensor(slot->message, 0);
    int code = tr_message_header_get(slot->message, &header);

    if (code)
        return raise_code(state, code, "receive");
    if (is(&header, &tree))
        return decode_tree(state, slot, copy);
    if (is(&header, &pickle))
        return load_parts(state, slot, load);
    if (first && is(&header, &octets))
        return PyBytes_FromStringAndSize(first->data, (Py_ssize_t)first->nbytes);
    if (first && is(&header, &tensors))
        return array_or_copy(state, slot, first, copy);
    PyErr_SetString(PyExc_ValueError, "the message comes from no stand-in");
    return NULL;
}
