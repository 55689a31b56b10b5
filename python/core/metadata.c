/* SPDX-License-Identifier: MIT */
/* metadata.c - whether the type of an array has metadata, which a tensor has no place for.
 *
 * Asking NumPy takes as long as a tenth of a send. Nearly all arrays of plain types have one
 * of NumPy's own dtype objects, which have none: so the pointer is looked at, where NumPy's
 * ABI says that it lies, and the object is asked only if it is another one. */
#include "core.h"

static int is_large_enough(PyObject *type)
{
    PyObject *size = PyObject_GetAttrString(type, "__basicsize__");
    Py_ssize_t bytes = size ? PyLong_AsSsize_t(size) : -1;

    Py_XDECREF(size);
    return PyErr_Occurred() ? -1 : bytes >= (Py_ssize_t)sizeof(ArrayFields);
}

int learn_array_layout(State *state)
{
    PyObject *array, *dtype;
    int large = is_large_enough(state->ndarray);

    if (large < 0)
        return -1;
    array = PyObject_CallFunction(state->ndarray, "i", 1);
    dtype = array ? PyObject_GetAttrString(array, "dtype") : NULL;
    state->array_layout_known = dtype && large &&
                                ((const ArrayFields *)(const void *)array)->descr ==
                                    dtype;
    Py_XDECREF(dtype);
    Py_XDECREF(array);
    return dtype ? 0 : -1;
}

static PyObject *plain_dtype_object(State *state, tr_dtype dtype)
{
    PyObject **cached = cached_dtype(state, dtype);

    if (cached && !*cached)
        *cached = PyObject_CallFunction(state->dtype_for, "iiis", (int)dtype.code,
                                        (int)dtype.bits, (int)dtype.lanes, "");
    return cached ? *cached : NULL;
}

static int has_metadata(State *state, PyObject *dtype)
{
    PyObject *metadata = PyObject_GetAttr(dtype, state->metadata);

    Py_XDECREF(metadata);
    return metadata ? metadata != Py_None : -1;
}

/* 0, 1, or -1 with an exception; of an array that has_usual_dtype() says nothing of. */
int dtype_has_metadata(State *state, PyObject *array, tr_dtype plain)
{
    PyObject *dtype, *usual = plain_dtype_object(state, plain);
    int code;

    if (!usual && PyErr_Occurred())
        return -1;
    if (has_usual_dtype(state, array, plain))
        return 0; /* it is known from now on */
    if (state->array_layout_known)
        return has_metadata(state, ((const ArrayFields *)(const void *)array)->descr);
    dtype = PyObject_GetAttrString(array, "dtype");
    code = dtype ? has_metadata(state, dtype) : -1;
    Py_XDECREF(dtype);
    return code;
}
