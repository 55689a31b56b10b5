/* SPDX-License-Identifier: MIT */
/* tree.c - nested lists, tuples and dicts of arrays and plain values become the parts of
 * one message.
 *
 * Part 0 is the tree: nodes, each a letter and what tree.h says. Part 1 and on are the
 * arrays in the order of their nodes. An object that others may hold, too, gets a number,
 * so that it is sent once and stays one object. An object with anything in it that the tree
 * has no word for is not cut in two, which would make two of what both sides hold: it has
 * no tree. */
#include "tree.h"

#include "core.h"

enum {
    MAX_DEPTH = TREE_DEPTH / 2 - 1, /* a number's mark is a node, too */
    MAX_ARRAYS = TR_MAX_TENSORS - 1,
    LEAST_ROWS = 4,
    LONG_TEXT = 1024,
};

#define TREE "tensoring.tree" /* a Writer that is done */

typedef struct Writer {
    State *state;
    char *bytes;
    size_t used, room;
    Source *sources; /* the first is the tree itself */
    size_t count, sources_room;
    PyObject *numbers; /* {address: number, or None while a tuple is being written} */
    uint64_t numbered;
    int depth;
} Writer;

/* 0, -1 with an exception, or NO_WORD. */
typedef int write_one(Writer *to, PyObject *object);

static write_one write_node;

static int make_room(Writer *to, size_t n)
{
    size_t room = 2 * (to->used + n) + 256;
    char *grown;

    if (to->room - to->used >= n)
        return 0;
    grown = PyMem_Realloc(to->bytes, room);
    if (!grown) {
        PyErr_NoMemory();
        return -1;
    }
    to->bytes = grown;
    to->room = room;
    return 0;
}

static int put(Writer *to, const void *bytes, size_t n)
{
    if (make_room(to, n) < 0)
        return -1;
    memcpy(to->bytes + to->used, bytes, n);
    to->used += n;
    return 0;
}

static int put_letter(Writer *to, char letter)
{
    return put(to, &letter, 1);
}

static int put_number(Writer *to, char letter, uint64_t number)
{
    char bytes[1 + sizeof(number)] = {letter};

    memcpy(bytes + 1, &number, sizeof(number));
    return put(to, bytes, sizeof(bytes));
}

static int put_text(Writer *to, char letter, const char *text, Py_ssize_t length)
{
    return put_number(to, letter, (uint64_t)length) < 0 ? -1
                                                        : put(to, text, (size_t)length);
}

/* A source to be filled in, NULL with an exception. It counts once it is open. */
static Source *next_source(Writer *to)
{
    if (to->count == to->sources_room) {
        size_t room = to->sources_room ? 4 * to->sources_room : 4;
        Source *grown = PyMem_Realloc(to->sources, room * sizeof(*grown));

        if (!grown) {
            PyErr_NoMemory();
            return NULL;
        }
        to->sources = grown;
        to->sources_room = room;
    }
    return &to->sources[to->count];
}

static int add_source(Writer *to, PyObject *object, char letter)
{
    Source *source = to->count <= MAX_ARRAYS ? next_source(to) : NULL;
    int needs;

    if (!source)
        return PyErr_Occurred() ? -1 : NO_WORD;
    source_raw(source, NULL, 0);
    needs = letter == TREE_ARRAY        ? source_plain_array(to->state, object, source)
            : letter == TREE_LONG_BYTES ? source_bytes(object, source)
                                        : source_rows(to->state, object, source);
    if (needs) {
        source_close(source);
        return needs < 0 ? -1 : NO_WORD;
    }
    to->count++;
    return put_letter(to, letter);
}

static int write_array(Writer *to, PyObject *array)
{
    return add_source(to, array, TREE_ARRAY);
}

static int write_int(Writer *to, PyObject *number)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);

    if (overflow)
        return NO_WORD;
    return put_number(to, TREE_INT, (uint64_t)value);
}

static int write_float(Writer *to, PyObject *number)
{
    double value = PyFloat_AsDouble(number);
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return put_number(to, TREE_FLOAT, bits);
}

static int write_str(Writer *to, PyObject *text)
{
    Py_ssize_t length;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &length);

    if (bytes)
        return put_text(to, TREE_STR, bytes, length);
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
        return -1;
    PyErr_Clear(); /* lone surrogates */
    return NO_WORD;
}

static int write_bytes(Writer *to, PyObject *bytes)
{
    return put_text(to, TREE_BYTES, PyBytes_AsString(bytes), PyBytes_Size(bytes));
}

static int write_long_bytes(Writer *to, PyObject *bytes)
{
    return add_source(to, bytes, TREE_LONG_BYTES);
}

/* The index of its type, and its bytes. */
static int put_scalar(Writer *to, unsigned char type, PyObject *scalar)
{
    Source source;
    int code;

    if (source_bytes(scalar, &source) < 0)
        return -1;
    code = put_number(to, TREE_SCALAR, (uint64_t)source.shape[0]);
    if (!code)
        code = put(to, &type, 1);
    if (!code)
        code = put(to, source.data, (size_t)source.shape[0]);
    source_close(&source);
    return code;
}

static int write_scalar(Writer *to, PyObject *scalar)
{
    PyObject *type = PyDict_GetItemWithError(to->state->scalars,
                                             (PyObject *)Py_TYPE(scalar));

    if (!type)
        return PyErr_Occurred() ? -1 : NO_WORD;
    return put_scalar(to, (unsigned char)PyLong_AsLong(type), scalar);
}

/* NO_WORD: not a list of floats only. */
static int write_floats(Writer *to, PyObject *list, Py_ssize_t n)
{
    size_t before = to->used;
    char *at;

    if (put_number(to, TREE_FLOATS, (uint64_t)n) < 0 ||
        make_room(to, (size_t)n * sizeof(double)) < 0)
        return -1;
    at = to->bytes + to->used;
    for (Py_ssize_t i = 0; i < n; i++, at += sizeof(double)) {
        PyObject *item = PyList_GetItem(list, i);
        double value;

        if (Py_TYPE(item) != &PyFloat_Type) {
            to->used = before;
            return NO_WORD;
        }
        value = PyFloat_AsDouble(item);
        memcpy(at, &value, sizeof(value));
    }
    to->used += (size_t)n * sizeof(double);
    return 0;
}

static int write_items(Writer *to, PyObject *list, Py_ssize_t n)
{
    if (put_number(to, TREE_LIST, (uint64_t)n) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        int code = write_node(to, PyList_GetItem(list, i));

        if (code)
            return code;
    }
    return 0;
}

/* Whether somebody else holds one of the arrays, so that a row needs a number. */
static bool rows_are_held(PyObject *list, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++)
        if (Py_REFCNT(PyList_GetItem(list, i)) > 1)
            return true;
    return false;
}

static int give_number(Writer *to, PyObject *address);

/* 0, -1, or 1: it has a number already, so that its bytes need not go again. */
static int number_row(Writer *to, PyObject *row)
{
    PyObject *address = PyLong_FromVoidPtr(row);
    int code = address ? PyDict_Contains(to->numbers, address) : -1;

    if (!code)
        code = give_number(to, address);
    Py_XDECREF(address);
    return code;
}

/* Rows that were numbered and will not be rows. */
static int forget_rows(Writer *to, PyObject *list, Py_ssize_t n)
{
    to->numbered -= (uint64_t)n;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *address = PyLong_FromVoidPtr(PyList_GetItem(list, i));
        int code = address ? PyDict_DelItem(to->numbers, address) : -1;

        Py_XDECREF(address);
        if (code < 0)
            return -1;
    }
    return 0;
}

/* 0, -1, or 1: one of them came before, or twice. */
static int number_rows(Writer *to, PyObject *list, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        int code = number_row(to, PyList_GetItem(list, i));

        if (code)
            return code < 0 || forget_rows(to, list, i) < 0 ? -1 : 1;
    }
    return 0;
}

static int write_rows(Writer *to, PyObject *list, Py_ssize_t n)
{
    int code = add_source(to, list, rows_are_held(list, n) ? TREE_SAME_ROWS : TREE_ROWS);

    if (code || to->bytes[to->used - 1] == TREE_ROWS)
        return code;
    code = number_rows(to, list, n);
    if (code == 1) {
        to->used--; /* the letter */
        source_close(&to->sources[--to->count]);
        return NO_WORD;
    }
    return code;
}

static int write_list(Writer *to, PyObject *list)
{
    Py_ssize_t n = PyList_Size(list);
    PyTypeObject *first = n ? Py_TYPE(PyList_GetItem(list, 0)) : NULL;
    int needs = NO_WORD;

    if (first == &PyFloat_Type)
        needs = write_floats(to, list, n);
    else if ((PyObject *)first == to->state->ndarray && n >= LEAST_ROWS)
        needs = write_rows(to, list, n);
    return needs > 0 ? write_items(to, list, n) : needs;
}

static int write_tuple(Writer *to, PyObject *tuple)
{
    Py_ssize_t n = PyTuple_Size(tuple);

    if (put_number(to, TREE_TUPLE, (uint64_t)n) < 0)
        return -1;
    for (Py_ssize_t i = 0; i < n; i++) {
        int code = write_node(to, PyTuple_GetItem(tuple, i));

        if (code)
            return code;
    }
    return 0;
}

static int write_dict(Writer *to, PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;

    if (put_number(to, TREE_DICT, (uint64_t)PyDict_Size(dict)) < 0)
        return -1;
    while (PyDict_Next(dict, &at, &key, &value)) {
        int code = write_node(to, key);

        if (!code)
            code = write_node(to, value);
        if (code)
            return code;
    }
    return 0;
}

enum { CAME_BEFORE = 1 + NO_WORD };

/* 0: it is new; NO_WORD: a tuple that holds itself; or CAME_BEFORE, and its number is
 * written. */
static int write_same(Writer *to, PyObject *address)
{
    PyObject *known = PyDict_GetItemWithError(to->numbers, address);

    if (!known)
        return PyErr_Occurred() ? -1 : 0;
    if (known == Py_None)
        return NO_WORD;
    return put_number(to, TREE_SAME, PyLong_AsUnsignedLongLong(known)) < 0 ? -1
                                                                           : CAME_BEFORE;
}

static int give_number(Writer *to, PyObject *address)
{
    PyObject *number = PyLong_FromUnsignedLongLong(to->numbered++);
    int code = number ? PyDict_SetItem(to->numbers, address, number) : -1;

    Py_XDECREF(number);
    return code;
}

/* Lists and dicts have their number before their contents, which may hold them; a reader
 * can make nothing else before its contents. */
static int write_new(Writer *to, PyObject *object, PyObject *address, write_one *write)
{
    bool early = write == write_list || write == write_dict;
    int code = put_letter(to, TREE_NUMBERED);

    if (!code && early)
        code = give_number(to, address);
    if (!code && write == write_tuple)
        code = PyDict_SetItem(to->numbers, address, Py_None);
    if (!code)
        code = write(to, object);
    return code || early ? code : give_number(to, address);
}

/* An object that others hold, too. */
static int write_shared(Writer *to, PyObject *object, write_one *write)
{
    PyObject *address = PyLong_FromVoidPtr(object);
    int code = address ? write_same(to, address) : -1;

    if (!code)
        code = write_new(to, object, address, write);
    Py_XDECREF(address);
    return code == CAME_BEFORE ? 0 : code;
}

/* What holds others, or is so large that sending it twice would matter. */
static int write_object(Writer *to, PyObject *object, write_one *write)
{
    bool shared;
    int code;

    if (to->depth == MAX_DEPTH)
        return NO_WORD;
    shared = Py_REFCNT(object) > 1;
    Py_INCREF(object); /* taking rows may start a collection, which may run anything */
    to->depth++;
    code = shared ? write_shared(to, object, write) : write(to, object);
    to->depth--;
    Py_DECREF(object);
    return code;
}

static int write_node(Writer *to, PyObject *object)
{
    PyTypeObject *type = object ? Py_TYPE(object) : NULL;

    if (!object)
        return -1;
    if (type == &PyLong_Type)
        return write_int(to, object);
    if (type == &PyFloat_Type)
        return write_float(to, object);
    if (type == &PyUnicode_Type)
        return PyUnicode_GetLength(object) < LONG_TEXT
                   ? write_str(to, object)
                   : write_object(to, object, write_str);
    if (object == Py_None)
        return put_letter(to, TREE_NONE);
    if (type == &PyBool_Type)
        return put_letter(to, object == Py_True ? TREE_TRUE : TREE_FALSE);
    if (type == &PyBytes_Type && PyBytes_Size(object) < LONG_TEXT)
        return write_bytes(to, object);
    if (type == &PyBytes_Type)
        return write_object(to, object, write_long_bytes);
    if (type == &PyList_Type)
        return write_object(to, object, write_list);
    if (type == &PyTuple_Type)
        return write_object(to, object, write_tuple);
    if (type == &PyDict_Type)
        return write_object(to, object, write_dict);
    if ((PyObject *)type == to->state->ndarray)
        return write_object(to, object, write_array);
    return write_object(to, object, write_scalar);
}

static int write_tree(Writer *to, PyObject *object)
{
    int code;

    to->numbers = PyDict_New();
    if (!to->numbers || !next_source(to))
        return -1;
    source_raw(to->sources, NULL, 0);
    to->count = 1;
    code = write_node(to, object);
    if (!code)
        source_raw(to->sources, to->bytes, to->used);
    return code;
}

static void writer_end(Writer *to)
{
    for (size_t i = 0; i < to->count; i++)
        source_close(&to->sources[i]);
    PyMem_Free(to->sources);
    PyMem_Free(to->bytes);
    Py_XDECREF(to->numbers);
}

int encode_tree(State *state, Shared *shared, PyObject *object, Patience patience,
                tr_message **out)
{
    Writer to = {.state = state};
    int code = write_tree(&to, object);

    if (code)
        code = code < 0 ? RAISED : NO_WORD;
    else
        code = loan_and_fill(shared, to.sources, to.count, patience, out);
    writer_end(&to);
    return code;
}

static void forget(PyObject *capsule)
{
    Writer *to = PyCapsule_GetPointer(capsule, TREE);

    writer_end(to);
    PyMem_Free(to);
}

/* Many may wait. */
static void shrink(Writer *to)
{
    void *bytes = PyMem_Realloc(to->bytes, to->used);
    void *sources = PyMem_Realloc(to->sources, to->count * sizeof(*to->sources));

    to->bytes = bytes ? bytes : to->bytes;
    to->sources = sources ? sources : to->sources;
    source_raw(to->sources, to->bytes, to->used);
    Py_CLEAR(to->numbers);
}

PyObject *tree_of(State *state, PyObject *object)
{
    Writer *to = PyMem_Calloc(1, sizeof(*to));
    PyObject *capsule = to ? PyCapsule_New(to, TREE, forget) : PyErr_NoMemory();
    int code;

    if (!capsule) {
        PyMem_Free(to);
        return NULL;
    }
    to->state = state;
    code = write_tree(to, object);
    if (!code) {
        shrink(to);
        return capsule;
    }
    Py_DECREF(capsule);
    return code < 0 ? NULL : Py_NewRef(Py_None);
}

uint64_t tree_bytes(PyObject *capsule)
{
    const Writer *from = PyCapsule_GetPointer(capsule, TREE);
    uint64_t bytes = 0, one;

    for (size_t i = 0; from && i < from->count; i++) {
        const Source *source = &from->sources[i];

        if (!tr_tensor_nbytes(source->spec.dtype, source->spec.ndim, source->shape, &one))
            bytes += one;
    }
    return bytes;
}

int loan_tree(Shared *shared, PyObject *capsule, Patience patience, tr_message **out)
{
    const Writer *from = PyCapsule_GetPointer(capsule, TREE);

    return from ? loan_and_fill(shared, from->sources, from->count, patience, out)
                : RAISED;
}
