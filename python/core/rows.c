/* SPDX-License-Identifier: MIT */
/* rows.c - a list of arrays of one type and shape, copied row by row into one tensor. */
#include "core.h"

static bool alike(const Source *a, const Source *b)
{
    return a->spec.ndim == b->spec.ndim && !b->strided && !b->spec.flags &&
           memcmp(&a->spec.dtype, &b->spec.dtype, sizeof(a->spec.dtype)) == 0 &&
           memcmp(a->shape, b->shape, a->spec.ndim * sizeof(a->shape[0])) == 0;
}

static int open_row(State *state, PyObject *list, Py_ssize_t i, Source *row)
{
    PyObject *array = PyList_GetItem(list, i);
    int needs = -1;

    if (array && (PyObject *)Py_TYPE(array) == state->ndarray)
        needs = source_plain_array(state, array, row);
    if (needs && !PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "a row is a packed array of a plain type");
    return needs ? -1 : 0;
}

/* The type and shape of the first row, and how many there are, describe the tensor. */
int source_rows(State *state, PyObject *list, Source *source)
{
    Py_ssize_t n = PyList_Size(list);
    Source row;

    if (n < 1) {
        PyErr_SetString(PyExc_TypeError, "no rows");
        return -1;
    }
    row.keeper = NULL;
    if (open_row(state, list, 0, &row) < 0) {
        Py_XDECREF(row.keeper);
        return -1;
    }
    Py_DECREF(row.keeper);
    if (row.spec.ndim == TR_MAX_NDIM) {
        PyErr_Format(PyExc_ValueError, "rows have at most %d dimensions",
                     TR_MAX_NDIM - 1);
        return -1;
    }
    source->spec = row.spec;
    source->spec.flags = 0;
    source->spec.ndim = row.spec.ndim + 1;
    source->spec.shape = source->shape;
    source->shape[0] = n;
    memcpy(source->shape + 1, row.shape, row.spec.ndim * sizeof(row.shape[0]));
    Py_INCREF(list);
    source->rows = list;
    source->strided = false;
    return 0;
}

/* The list may have been changed since: each row is looked at again before it is copied. */
int fill_rows(State *state, const tr_tensor *to, PyObject *list)
{
    Source first = {.spec.dtype = to->dtype, .spec.ndim = to->ndim - 1};
    uint64_t bytes = to->shape[0] ? to->nbytes / (uint64_t)to->shape[0] : 0;

    memcpy(first.shape, to->shape + 1, first.spec.ndim * sizeof(first.shape[0]));
    if (PyList_Size(list) != to->shape[0])
        return TR_EINVAL;
    for (int64_t i = 0; i < to->shape[0]; i++) {
        Source row = {.keeper = NULL};
        int code = open_row(state, list, (Py_ssize_t)i, &row);

        if (code == 0 && !alike(&first, &row)) {
            PyErr_SetString(PyExc_TypeError, "the rows differ in type, shape or order");
            code = -1;
        }
        if (code == 0 && bytes)
            memcpy((char *)to->data + (uint64_t)i * bytes, row.data, bytes);
        Py_XDECREF(row.keeper);
        if (code < 0)
            return RAISED;
    }
    return 0;
}
