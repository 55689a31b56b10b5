/* SPDX-License-Identifier: MIT */
/* untree.c - the objects of a message that tree.c made. Whatever its bytes say, nothing is
 * read beyond them. */
#include "core.h"
#include "tree.h"

typedef struct Reader {
    State *state;
    Slot *slot;
    const char *at, *end;
    size_t part;        /* the next */
    PyObject *numbered; /* a list of the objects with a number, or NULL */
    bool copy;          /* nothing may look into the slot */
    int depth;
} Reader;

typedef PyObject *read_one(Reader *from);

static read_one read_node;

static PyObject *broken(const char *why)
{
    if (!PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "the tree of the message is broken: %s", why);
    return NULL;
}

static int take(Reader *from, void *to, size_t n)
{
    if ((size_t)(from->end - from->at) < n) {
        broken("it ends early");
        return -1;
    }
    memcpy(to, from->at, n);
    from->at += n;
    return 0;
}

/* How many follow, of at least @p each bytes: no more than there is room for. */
static int take_count(Reader *from, size_t each, Py_ssize_t *count)
{
    uint64_t n;

    if (take(from, &n, sizeof(n)) < 0)
        return -1;
    if (n > (size_t)(from->end - from->at) / each) {
        broken("it says that it is longer than it is");
        return -1;
    }
    *count = (Py_ssize_t)n;
    return 0;
}

static PyObject *read_int(Reader *from)
{
    int64_t value;

    return take(from, &value, sizeof(value)) < 0 ? NULL : PyLong_FromLongLong(value);
}

static PyObject *read_float(Reader *from)
{
    double value;

    return take(from, &value, sizeof(value)) < 0 ? NULL : PyFloat_FromDouble(value);
}

static PyObject *read_str(Reader *from)
{
    Py_ssize_t n;

    if (take_count(from, 1, &n) < 0)
        return NULL;
    from->at += n;
    return PyUnicode_FromStringAndSize(from->at - n, n);
}

static PyObject *read_bytes(Reader *from)
{
    Py_ssize_t n;

    if (take_count(from, 1, &n) < 0)
        return NULL;
    from->at += n;
    return PyBytes_FromStringAndSize(from->at - n, n);
}

static const tr_tensor *next_part(Reader *from)
{
    const tr_tensor *tensor = tr_message_tensor(from->slot->message, from->part);

    if (!tensor)
        broken("it has too few arrays");
    from->part++;
    return tensor;
}

static PyObject *read_long_bytes(Reader *from)
{
    const tr_tensor *tensor = next_part(from);

    if (!tensor)
        return NULL;
    return PyBytes_FromStringAndSize(tensor->data, (Py_ssize_t)tensor->nbytes);
}

static PyObject *read_array(Reader *from)
{
    const tr_tensor *tensor = next_part(from);

    return tensor ? array_or_copy(from->state, from->slot, tensor, from->copy) : NULL;
}

/* Numbered before its contents are read, as the writer does. */
static int number(Reader *from, PyObject *object)
{
    if (!from->numbered)
        from->numbered = PyList_New(0);
    return from->numbered ? PyList_Append(from->numbered, object) : -1;
}

static int number_rows(Reader *from, PyObject *rows)
{
    Py_ssize_t n = PyList_Size(rows);

    for (Py_ssize_t i = 0; i < n; i++)
        if (number(from, PyList_GetItem(rows, i)) < 0)
            return -1;
    return 0;
}

static PyObject *read_rows(Reader *from)
{
    PyObject *array = read_array(from);
    PyObject *rows = array ? PySequence_List(array) : NULL;

    Py_XDECREF(array);
    return rows;
}

static PyObject *read_same_rows(Reader *from, bool numbered)
{
    PyObject *rows = read_rows(from);

    if (rows && ((numbered && number(from, rows) < 0) || number_rows(from, rows) < 0))
        Py_CLEAR(rows);
    return rows;
}

static PyObject *read_scalar(Reader *from)
{
    unsigned char type;
    PyObject *make, *bytes, *scalar;
    Py_ssize_t n;

    if (take_count(from, 1, &n) < 0 || take(from, &type, 1) < 0)
        return NULL;
    if (n > from->end - from->at || type >= PyTuple_Size(from->state->makers))
        return broken("a scalar of no type");
    make = PyTuple_GetItem(from->state->makers, type);
    bytes = PyBytes_FromStringAndSize(from->at, n);
    scalar = bytes ? PyObject_CallFunctionObjArgs(make, bytes, NULL) : NULL;
    from->at += n;
    Py_XDECREF(bytes);
    return scalar;
}

static PyObject *read_list(Reader *from, bool numbered)
{
    PyObject *list;
    Py_ssize_t n;

    if (take_count(from, 1, &n) < 0)
        return NULL;
    list = PyList_New(n);
    if (list && numbered && number(from, list) < 0)
        Py_CLEAR(list);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        PyObject *item = read_node(from);

        if (!item || PyList_SetItem(list, i, item) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *read_floats(Reader *from)
{
    PyObject *list;
    Py_ssize_t n;

    if (take_count(from, sizeof(double), &n) < 0)
        return NULL;
    list = PyList_New(n);
    for (Py_ssize_t i = 0; list && i < n; i++) {
        PyObject *item = read_float(from);

        if (!item || PyList_SetItem(list, i, item) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *read_tuple(Reader *from)
{
    PyObject *tuple;
    Py_ssize_t n;

    if (take_count(from, 1, &n) < 0)
        return NULL;
    tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple && i < n; i++) {
        PyObject *item = read_node(from);

        if (!item || PyTuple_SetItem(tuple, i, item) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *read_dict(Reader *from, bool numbered)
{
    PyObject *dict = PyDict_New();
    Py_ssize_t n = 0;

    if (!dict || take_count(from, 2, &n) < 0 || (numbered && number(from, dict) < 0))
        Py_CLEAR(dict);
    for (Py_ssize_t i = 0; dict && i < n; i++) {
        PyObject *key = read_node(from);
        PyObject *value = key ? read_node(from) : NULL;

        if (!value || PyDict_SetItem(dict, key, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
        Py_XDECREF(key);
    }
    return dict;
}

static PyObject *read_same(Reader *from)
{
    PyObject *object = NULL;
    uint64_t n;

    if (take(from, &n, sizeof(n)) < 0)
        return NULL;
    if (from->numbered && n < (uint64_t)PyList_Size(from->numbered))
        object = PyList_GetItem(from->numbered, (Py_ssize_t)n);
    if (!object)
        return broken("no object has that number");
    Py_INCREF(object);
    return object;
}

static PyObject *read_numbered_list(Reader *from)
{
    return read_list(from, true);
}

static PyObject *read_numbered_dict(Reader *from)
{
    return read_dict(from, true);
}

static PyObject *read_numbered_rows(Reader *from)
{
    return read_same_rows(from, true);
}

/* Those that hold others have their number before these. */
static read_one *reader_of_holder(char letter)
{
    switch (letter) {
    case TREE_LIST:
        return read_numbered_list;
    case TREE_DICT:
        return read_numbered_dict;
    case TREE_SAME_ROWS:
        return read_numbered_rows;
    default:
        return NULL;
    }
}

static PyObject *read_numbered(Reader *from)
{
    read_one *read = reader_of_holder(from->at < from->end ? *from->at : 0);
    PyObject *object;

    if (read) {
        from->at++;
        return read(from);
    }
    object = read_node(from);
    if (object && number(from, object) < 0)
        Py_CLEAR(object);
    return object;
}

static PyObject *constant(PyObject *object)
{
    Py_INCREF(object);
    return object;
}

static PyObject *read_letter(Reader *from, char letter)
{
    switch (letter) {
    case TREE_NONE:
        return constant(Py_None);
    case TREE_TRUE:
        return constant(Py_True);
    case TREE_FALSE:
        return constant(Py_False);
    case TREE_INT:
        return read_int(from);
    case TREE_FLOAT:
        return read_float(from);
    case TREE_STR:
        return read_str(from);
    case TREE_BYTES:
        return read_bytes(from);
    case TREE_LONG_BYTES:
        return read_long_bytes(from);
    case TREE_ARRAY:
        return read_array(from);
    case TREE_ROWS:
        return read_rows(from);
    case TREE_SAME_ROWS:
        return read_same_rows(from, false);
    case TREE_FLOATS:
        return read_floats(from);
    case TREE_SCALAR:
        return read_scalar(from);
    case TREE_LIST:
        return read_list(from, false);
    case TREE_TUPLE:
        return read_tuple(from);
    case TREE_DICT:
        return read_dict(from, false);
    case TREE_NUMBERED:
        return read_numbered(from);
    case TREE_SAME:
        return read_same(from);
    default:
        return broken("an unknown node");
    }
}

static PyObject *read_node(Reader *from)
{
    PyObject *object;
    char letter;

    if (take(from, &letter, 1) < 0)
        return NULL;
    if (from->depth == TREE_DEPTH)
        return broken("it is too deep");
    from->depth++;
    object = read_letter(from, letter);
    from->depth--;
    return object;
}

PyObject *decode_tree(State *state, Slot *slot, bool copy)
{
    const tr_tensor *tree = tr_message_tensor(slot->message, 0);
    Reader from = {.state = state, .slot = slot, .part = 1, .copy = copy};
    PyObject *object;

    if (!tree || !tree->data)
        return broken("there is none");
    from.at = tree->data;
    from.end = from.at + tree->nbytes;
    object = read_node(&from);
    Py_XDECREF(from.numbered);
    return object;
}
