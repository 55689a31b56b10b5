/* SPDX-License-Identifier: MIT */
/* dlpack.c - a View handed out as a DLPack capsule.
 *
 * The consumer's tensor holds the View. Its deleter may run in any thread, without the GIL,
 * even after Python has gone. */
#include "dlpack.h"
#include "core.h"

/* One allocation for either form; the DLTensor points at the arrays behind it. */
typedef struct Export {
    union {
        DLManagedTensor plain;
        DLManagedTensorVersioned versioned;
    } managed;
    int64_t shape[TR_MAX_NDIM];
    int64_t strides[TR_MAX_NDIM];
} Export;

static void let_go(PyObject *view, void *export)
{
    PyGILState_STATE gil;

    if (!Py_IsInitialized())
        return; /* the consumer outlived Python: leak, never crash */
    gil = PyGILState_Ensure();
    Py_DECREF(view);
    PyMem_Free(export);
    PyGILState_Release(gil);
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

static PyObject *make_capsule(ViewObject *view, const tr_tensor *tensor, bool versioned)
{
    Export *export = PyMem_Malloc(sizeof(*export));
    PyObject *capsule;

    if (!export)
        return PyErr_NoMemory();
    if (versioned) {
        DLManagedTensorVersioned *managed = &export->managed.versioned;

        managed->version = (DLVersion){DLPACK_MAJOR, DLPACK_MINOR};
        managed->manager = view;
        managed->deleter = delete_versioned;
        managed->flags = tensor->flags & TR_TENSOR_READ_ONLY ? DLPACK_READ_ONLY : 0;
        describe(&managed->tensor, tensor, export);
        capsule = PyCapsule_New(managed, DLPACK_VERSIONED, capsule_delete);
    } else {
        DLManagedTensor *managed = &export->managed.plain;

        managed->manager = view;
        managed->deleter = delete_plain;
        describe(&managed->tensor, tensor, export);
        capsule = PyCapsule_New(managed, DLPACK_PLAIN, capsule_delete);
    }
    if (!capsule) {
        PyMem_Free(export);
        return NULL;
    }
    Py_INCREF((PyObject *)view);
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

static int check_request(const tr_tensor *tensor, PyObject *device, PyObject *copy)
{
    int type, id;

    if (copy == Py_True) {
        PyErr_SetString(PyExc_BufferError,
                        "a view shares memory; copy the array instead");
        return -1;
    }
    if (device && device != Py_None) {
        if (!PyTuple_Check(device)) {
            PyErr_SetString(PyExc_TypeError, "dl_device is (type, id)");
            return -1;
        }
        if (!PyArg_ParseTuple(device, "ii", &type, &id))
            return -1;
        if (type != DLPACK_CPU) {
            PyErr_SetString(PyExc_BufferError, "a slot is host memory");
            return -1;
        }
    }
    if (*tensor->descr || tensor->dtype.code == TR_OPAQUE) {
        PyErr_Format(PyExc_BufferError, "DLPack has no type for %s", tensor->descr);
        return -1;
    }
    return 0;
}

PyObject *view_dlpack(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    static const char *const names[] = {"stream", "max_version", "dl_device", "copy",
                                        NULL};
    const tr_tensor *tensor = view_tensor(self);
    PyObject *values[4] = {NULL};
    int versioned;

    if (nargs) {
        PyErr_SetString(PyExc_TypeError, "__dlpack__ takes keyword arguments only");
        return NULL;
    }
    if (!tensor || parse("__dlpack__", args, nargs, kwnames, names, 0, values) < 0 ||
        check_request(tensor, values[2], values[3]) < 0)
        return NULL;
    versioned = version_asked(values[1]);
    if (versioned < 0)
        return NULL;
    return make_capsule((ViewObject *)self, tensor, versioned);
}

PyObject *view_dlpack_device(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return Py_BuildValue("(ii)", DLPACK_CPU, 0);
}
