/* SPDX-License-Identifier: MIT */
/* dlpack.c - a View handed out as a DLPack capsule.
 *
 * The consumer's tensor holds the View. Its deleter may run in any thread, without the GIL,
 * even after Python has gone. */
#include "dlpack.h"
#include "core.h"

#include <stdlib.h>

enum { DATA_ALIGN = 64 };

/* One allocation for either form; the DLTensor points at the arrays behind it, and at a copy
 * of the data if one was asked for: the manager is NULL then. */
typedef struct Export {
    union {
        DLManagedTensor plain;
        DLManagedTensorVersioned versioned;
    } managed;
    int64_t shape[TR_MAX_NDIM];
    int64_t strides[TR_MAX_NDIM];
} Export;

static size_t bytes_before_copy(void)
{
    return (sizeof(Export) + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;
}

/* An export with room for @p nbytes of data behind it. Freed without the GIL, so not Python's. */
static Export *export_new(uint64_t nbytes)
{
    size_t size = bytes_before_copy();
    uint64_t whole = (nbytes + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;

    return whole < nbytes || whole > SIZE_MAX - size
               ? NULL
               : aligned_alloc(DATA_ALIGN, size + (size_t)whole);
}

static void let_go(PyObject *view, void *export)
{
    PyGILState_STATE gil;

    if (!view) {
        free(export);
        return;
    }
    if (!Py_IsInitialized())
        return; /* the consumer outlived Python: leak, never crash */
    gil = PyGILState_Ensure();
    Py_DECREF(view);
    PyGILState_Release(gil);
    free(export);
}

static void delete_plain(DLManagedTensor *managed)
{
    let_go(managed->manager, managed);
}

static void delete_versioned(DLManagedTensorVersioned *managed)
{
    let_go(managed->manager, managed);
}

/* A capsule that nobody took over. */
static void capsule_delete(PyObject *capsule)
{
    if (PyCapsule_IsValid(capsule, DLPACK_VERSIONED)) {
        DLManagedTensorVersioned *managed = PyCapsule_GetPointer(capsule,
                                                                 DLPACK_VERSIONED);

        managed->deleter(managed);
    } else if (PyCapsule_IsValid(capsule, DLPACK_PLAIN)) {
        DLManagedTensor *managed = PyCapsule_GetPointer(capsule, DLPACK_PLAIN);

        managed->deleter(managed);
    }
}

static void describe(DLTensor *to, const tr_tensor *tensor, Export *export)
{
    memcpy(export->shape, tensor->shape, sizeof(export->shape));
    memcpy(export->strides, tensor->strides, sizeof(export->strides));
    *to = (DLTensor){.data = tensor->data,
                     .device = {DLPACK_CPU, 0},
                     .ndim = (int32_t)tensor->ndim,
                     .dtype = tensor->dtype,
                     .shape = export->shape,
                     .strides = export->strides,
                     .byte_offset = 0};
}

static void fill_versioned(DLManagedTensorVersioned *managed, const tr_tensor *tensor,
                           PyObject *view)
{
    bool read_only = view && tensor->flags & TR_TENSOR_READ_ONLY;

    managed->version = (DLVersion){DLPACK_MAJOR, DLPACK_MINOR};
    managed->manager = view;
    managed->deleter = delete_versioned;
    managed->flags = (read_only ? DLPACK_READ_ONLY : 0) | (view ? 0 : DLPACK_IS_COPIED);
}

static void copy_data(DLTensor *to, const tr_tensor *tensor, Export *export)
{
    to->data = (char *)export + bytes_before_copy();
    if (tensor->nbytes)
        memcpy(to->data, tensor->data, tensor->nbytes);
}

/* A capsule over the memory of @p view, or over a copy if it is NULL. */
static PyObject *make_capsule(PyObject *view, const tr_tensor *tensor, bool versioned)
{
    Export *export = export_new(view ? 0 : tensor->nbytes);
    DLTensor *to;
    PyObject *capsule;

    if (!export)
        return PyErr_NoMemory();
    if (versioned) {
        fill_versioned(&export->managed.versioned, tensor, view);
        to = &export->managed.versioned.tensor;
    } else {
        export->managed.plain.manager = view;
        export->managed.plain.deleter = delete_plain;
        to = &export->managed.plain.tensor;
    }
    describe(to, tensor, export);
    if (!view)
        copy_data(to, tensor, export);
    capsule = PyCapsule_New(&export->managed, versioned ? DLPACK_VERSIONED : DLPACK_PLAIN,
                            capsule_delete);
    if (!capsule) {
        free(export);
        return NULL;
    }
    Py_XINCREF(view);
    return capsule;
}

/* -1 with an exception, 0 for the old form, 1 for the versioned one. */
static int version_asked(PyObject *max_version)
{
    unsigned int major, minor;

    if (!max_version || max_version == Py_None)
        return 0;
    if (!PyTuple_Check(max_version)) {
        PyErr_SetString(PyExc_TypeError, "max_version is (major, minor)");
        return -1;
    }
    if (!PyArg_ParseTuple(max_version, "II", &major, &minor))
        return -1;
    return major >= DLPACK_MAJOR;
}

static int check_device(PyObject *device)
{
    int type, id;

    if (!device || device == Py_None)
        return 0;
    if (!PyTuple_Check(device)) {
        PyErr_SetString(PyExc_TypeError, "dl_device is (type, id)");
        return -1;
    }
    if (!PyArg_ParseTuple(device, "ii", &type, &id))
        return -1;
    if (type != DLPACK_CPU) {
        PyErr_Format(PyExc_BufferError,
                     "a slot is host memory, device type %d; the device asked for is of "
                     "type %d",
                     DLPACK_CPU, type);
        return -1;
    }
    return 0;
}

/* -1 with an exception, or whether a copy is asked for. */
static int copy_asked(PyObject *copy)
{
    if (copy && PyUnicode_Check(copy)) {
        PyErr_SetString(PyExc_ValueError, "copy is True, False or None, not a string");
        return -1;
    }
    return !copy || copy == Py_None ? 0 : PyObject_IsTrue(copy);
}

static int check_request(PyObject *stream, PyObject *device)
{
    if (stream && stream != Py_None) {
        PyErr_SetString(PyExc_RuntimeError,
                        "host memory has no streams: stream can only be None");
        return -1;
    }
    return check_device(device);
}

/* The tensor while its message is in hand, if DLPack has a word for it. */
static const tr_tensor *tensor_for_dlpack(PyObject *self)
{
    const tr_tensor *tensor = view_tensor(self);

    if (tensor && (*tensor->descr || tensor->dtype.code == TR_DTYPE_OPAQUE)) {
        PyErr_Format(PyExc_BufferError, "DLPack has no type for %s", tensor->descr);
        return NULL;
    }
    return tensor;
}

PyObject *view_dlpack(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    static const char *const names[] = {"stream", "max_version", "dl_device", "copy",
                                        NULL};
    PyObject *values[4] = {NULL};
    const tr_tensor *tensor;
    int versioned, copy;

    if (nargs) {
        PyErr_SetString(PyExc_TypeError, "__dlpack__ takes keyword arguments only");
        return NULL;
    }
    if (parse("__dlpack__", args, nargs, kwnames, names, 0, values) < 0 ||
        check_request(values[0], values[2]) < 0)
        return NULL;
    versioned = version_asked(values[1]);
    copy = versioned < 0 ? -1 : copy_asked(values[3]);
    if (copy < 0)
        return NULL;
    tensor = tensor_for_dlpack(self); /* last: what is asked for may run anything */
    return tensor ? make_capsule(copy ? NULL : self, tensor, versioned) : NULL;
}

PyObject *view_dlpack_device(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return Py_BuildValue("(ii)", DLPACK_CPU, 0);
}
