/* SPDX-License-Identifier: MIT */
/* source.c - find the bytes, type and shape of what will be sent.
 *
 * An ndarray is asked by __array_struct__ (one capsule, no format string to build), another
 * producer by DLPack, the rest by the buffer protocol as plain bytes. */
#include "core.h"
#include "dlpack.h"

/* NumPy's array interface, side of C, version 2. */
typedef struct ArrayInterface {
    int two;
    int nd;
    char typekind;
    int itemsize;
    int flags;
    Py_intptr_t *shape;
    Py_intptr_t *strides;
    void *data;
    PyObject *descr;
} ArrayInterface;

enum { C_ORDER = 0x1, F_ORDER = 0x2, NATIVE = 0x200 };

/* 0 if DLPack has a word for it, -1 if not. */
static int plain_dtype(const ArrayInterface *array, tr_dtype *dtype)
{
    int size = array->itemsize;

    if (!(array->flags & NATIVE) && size > 1)
        return -1;
    dtype->lanes = 1;
    dtype->bits = (uint8_t)(size * 8);
    switch (array->typekind) {
    case 'b':
        dtype->code = TR_DTYPE_BOOL;
        return size == 1 ? 0 : -1;
    case 'i':
        dtype->code = TR_DTYPE_INT;
        return size <= 8 ? 0 : -1;
    case 'u':
        dtype->code = TR_DTYPE_UINT;
        return size <= 8 ? 0 : -1;
    case 'f':
        dtype->code = TR_DTYPE_FLOAT;
        return size == 2 || size == 4 || size == 8 ? 0 : -1;
    case 'c':
        dtype->code = TR_DTYPE_COMPLEX;
        return size == 8 || size == 16 ? 0 : -1;
    default:
        return -1;
    }
}

int too_many_dimensions(long long ndim)
{
    PyErr_Format(PyExc_ValueError,
                 "the array has %lld dimensions; a tensor has at most %d", ndim,
                 TR_MAX_NDIM);
    return -1;
}

/* Whether the steps are those of a packed array; the last index is fastest, or the first. */
static bool packed(const Source *source, uint64_t size, bool f_order)
{
    int64_t step = (int64_t)size;
    uint32_t ndim = source->spec.ndim;

    for (uint32_t i = 0; i < ndim; i++) {
        uint32_t dim = f_order ? i : ndim - 1 - i;

        if (source->shape[dim] != 1 && source->strides[dim] != step)
            return false;
        step *= source->shape[dim];
    }
    return true;
}

/* Whether the bytes may be taken as they lie, and in which order. NumPy says nothing of the
 * order of arrays that have fields. */
static void find_order(const ArrayInterface *from, Source *source)
{
    uint64_t size = (uint64_t)from->itemsize;
    bool unsaid = from->typekind == 'V';
    bool c_order = from->flags & C_ORDER || (unsaid && packed(source, size, false));
    bool f_order = !c_order &&
                   (from->flags & F_ORDER || (unsaid && packed(source, size, true)));

    source->strided = !c_order && !f_order;
    if (f_order)
        source->spec.flags = TR_TENSOR_F_ORDER;
}

/* 0, -1 with an exception, or 1: an array whose type needs a description or has metadata, or
 * that has more than TR_MAX_NDIM dimensions, of which the spec then says how many. */
int source_plain_array(State *state, PyObject *array, Source *source)
{
    PyObject *capsule = PyObject_GetAttr(array, state->array_struct);
    const ArrayInterface *from;
    int needs;

    if (!capsule)
        return -1;
    from = PyCapsule_GetPointer(capsule, NULL);
    if (!from) {
        Py_DECREF(capsule);
        return -1;
    }
    source->keeper = capsule;
    source->rows = NULL;
    source->buffer.obj = NULL;
    source->data = from->data;
    memset(&source->spec, 0, sizeof(source->spec));
    needs = plain_dtype(from, &source->spec.dtype) < 0;
    source->spec.ndim = (uint32_t)from->nd;
    if (from->nd > TR_MAX_NDIM)
        return 1;
    for (int i = 0; i < from->nd; i++) {
        source->shape[i] = from->shape[i];
        source->strides[i] = from->strides[i];
    }
    find_order(from, source);
    if (needs || has_usual_dtype(state, array, source->spec.dtype))
        return needs;
    return dtype_has_metadata(state, array, source->spec.dtype);
}

/* Bytes that the caller keeps alive. */
void source_raw(Source *source, const void *data, size_t nbytes)
{
    source->keeper = NULL;
    source->rows = NULL;
    source->buffer.obj = NULL;
    source->data = data;
    source->strided = false;
    memset(&source->spec, 0, sizeof(source->spec));
    source->spec.dtype = (tr_dtype){TR_DTYPE_UINT, 8, 1};
    source->spec.ndim = 1;
    source->shape[0] = (int64_t)nbytes;
}

int source_bytes(PyObject *from, Source *source)
{
    Py_buffer buffer;

    source_raw(source, NULL, 0);
    if (PyObject_GetBuffer(from, &buffer, PyBUF_SIMPLE) < 0)
        return -1;
    source_raw(source, buffer.buf, (size_t)buffer.len);
    source->buffer = buffer;
    return 0;
}

static PyObject *ask_for_capsule(State *state, PyObject *from)
{
    PyObject *method = PyObject_GetAttr(from, state->dlpack);
    PyObject *none, *capsule;

    if (!method) {
        PyErr_Format(PyExc_TypeError,
                     "%R has neither a buffer nor __dlpack__(): give an array or bytes",
                     (PyObject *)Py_TYPE(from));
        return NULL;
    }
    none = PyTuple_New(0);
    capsule = none ? PyObject_Call(method, none, state->dlpack_args) : NULL;
    if (!capsule && none && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear(); /* a producer from before max_version */
        capsule = PyObject_CallNoArgs(method);
    }
    Py_XDECREF(none);
    Py_DECREF(method);
    return capsule;
}

/* The tensor in @p capsule, which stays the owner: it is read and dropped unconsumed. */
static const DLTensor *tensor_in(PyObject *capsule)
{
    if (PyCapsule_IsValid(capsule, DLPACK_VERSIONED)) {
        DLManagedTensorVersioned *managed = PyCapsule_GetPointer(capsule,
                                                                 DLPACK_VERSIONED);

        if (managed->version.major == DLPACK_MAJOR)
            return &managed->tensor;
        PyErr_Format(PyExc_BufferError, "the producer speaks DLPack %u, this is %u",
                     managed->version.major, DLPACK_MAJOR);
        return NULL;
    }
    if (PyCapsule_IsValid(capsule, DLPACK_PLAIN))
        return &((DLManagedTensor *)PyCapsule_GetPointer(capsule, DLPACK_PLAIN))->tensor;
    PyErr_SetString(PyExc_BufferError, "__dlpack__ gave something else than a tensor");
    return NULL;
}

static int copy_shape(const DLTensor *from, Source *source)
{
    uint64_t size = tr_dtype_bytes(from->dtype);

    if (from->device.type != DLPACK_CPU && from->device.type != DLPACK_CUDA_HOST) {
        PyErr_Format(PyExc_BufferError,
                     "the tensor lies on device type %d; copy it to host memory first",
                     (int)from->device.type);
        return -1;
    }
    if (from->ndim < 0 || from->ndim > TR_MAX_NDIM)
        return too_many_dimensions(from->ndim);
    source->strided = from->strides != NULL;
    for (int i = 0; i < from->ndim; i++) {
        source->shape[i] = from->shape[i];
        source->strides[i] = from->strides ? from->strides[i] * (int64_t)size : 0;
    }
    return 0;
}

int source_dlpack(State *state, PyObject *from, Source *source)
{
    PyObject *capsule = ask_for_capsule(state, from);
    const DLTensor *tensor = capsule ? tensor_in(capsule) : NULL;

    if (!tensor || copy_shape(tensor, source) < 0) {
        Py_XDECREF(capsule);
        return -1;
    }
    source->keeper = capsule;
    source->buffer.obj = NULL;
    source->data = tensor->data ? (const char *)tensor->data + tensor->byte_offset : NULL;
    memset(&source->spec, 0, sizeof(source->spec));
    source->spec.dtype = tensor->dtype;
    source->spec.ndim = (uint32_t)tensor->ndim;
    if (source->strided && packed(source, tr_dtype_bytes(tensor->dtype), false))
        source->strided = false;
    return 0;
}

static int like_rows(State *state, PyObject *list, Source *source)
{
    if (source_rows(state, list, source) == 0)
        return 0;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError,
                        "rows are packed arrays of one plain type and shape");
    return -1;
}

int source_open(State *state, PyObject *from, Source *source)
{
    source->keeper = NULL;
    source->rows = NULL;
    source->buffer.obj = NULL;
    if (PyList_CheckExact(from))
        return like_rows(state, from, source);
    if (PyObject_TypeCheck(from, (PyTypeObject *)state->ndarray))
        return source_plain_array(state, from, source);
    if (PyObject_CheckBuffer(from))
        return source_bytes(from, source);
    return source_dlpack(state, from, source);
}

void source_close(Source *source)
{
    Py_XDECREF(source->keeper);
    PyMem_Free(source->rows);
    if (source->buffer.obj)
        PyBuffer_Release(&source->buffer);
}
