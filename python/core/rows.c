/* SPDX-License-Identifier: MIT */
/* rows.c - a list of arrays of one type and shape, to be copied row by row into one tensor. */
#include "core.h"

static bool alike(const Source *a, const Source *b)
{
    return a->spec.ndim == b->spec.ndim && !b->strided && !b->spec.flags &&
           memcmp(&a->spec.dtype, &b->spec.dtype, sizeof(a->spec.dtype)) == 0 &&
           memcmp(a->shape, b->shape, a->spec.ndim * sizeof(a->shape[0])) == 0;
}

/* 0, -1, or 1: not a packed array of a plain type like @p first, which may be @p row. The
 * caller keeps the array. */
static int open_row(State *state, PyObject *array, const Source *first, Source *row)
{
    int needs;

    if ((PyObject *)Py_TYPE(array) != state->ndarray)
        return 1;
    row->keeper = NULL;
    needs = source_plain_array(state, array, row);
    Py_CLEAR(row->keeper);
    return needs ? needs : !alike(first, row);
}

/* 0, -1 with an exception, or 1: not alike, or with no room for one more dimension. */
int source_rows(State *state, PyObject *list, Source *source)
{
    Source first, row;
    Py_ssize_t n;

    source_raw(source, NULL, 0);
    source->keeper = PyList_GetSlice(list, 0, PY_SSIZE_T_MAX);
    n = source->keeper ? PyList_Size(source->keeper) : -1;
    if (n < 1)
        return n < 0 ? -1 : 1;
    source->rows = PyMem_Malloc((size_t)n * sizeof(*source->rows));
    if (!source->rows) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        Source *to = i ? &row : &first;
        int code = open_row(state, PyList_GetItem(source->keeper, i), &first, to);

        if (code)
            return code;
        source->rows[i] = to->data;
    }
    if (first.spec.ndim == 0 || first.spec.ndim == TR_MAX_NDIM)
        return 1;
    source->spec = first.spec;
    source->spec.ndim = first.spec.ndim + 1;
    source->shape[0] = n;
    memcpy(source->shape + 1, first.shape, first.spec.ndim * sizeof(first.shape[0]));
    return 0;
}

PyObject *core_like_rows(PyObject *module, PyObject *list)
{
    Source source;
    int code = source_rows(PyModule_GetState(module), list, &source);

    source_close(&source);
    return code < 0 ? NULL : PyBool_FromLong(!code);
}
