/* SPDX-License-Identifier: MIT */
/* view.c - one tensor of a message, by the buffer protocol and DLPack. */
#include "core.h"

static void view_dealloc(PyObject *self)
{
    ViewObject *view = (ViewObject *)self;
    PyTypeObject *type = Py_TYPE(self);

    view->slot->views--;
    slot_drop(view->slot);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* The struct-module letter of a type, NULL if it has none. */
static const char *format_of(const tr_tensor *tensor)
{
    static const char *const letters[][4] = {
        [TR_DTYPE_INT] = {"b", "h", "i", "q"},
        [TR_DTYPE_UINT] = {"B", "H", "I", "Q"},
        [TR_DTYPE_FLOAT] = {NULL, "e", "f", "d"},
        [TR_DTYPE_COMPLEX] = {NULL, NULL, NULL, "Zf"},
        [TR_DTYPE_BOOL] = {"?", NULL, NULL, NULL},
    };
    tr_dtype dtype = tensor->dtype;

    if (*tensor->descr || dtype.lanes != 1 || tensor->flags & TR_TENSOR_BYTESWAPPED)
        return NULL;
    if (dtype.code == TR_DTYPE_COMPLEX && dtype.bits == 128)
        return "Zd";
    if (dtype.code > TR_DTYPE_BOOL || dtype.code == TR_DTYPE_OPAQUE ||
        dtype.code == TR_DTYPE_BFLOAT)
        return NULL;
    for (int i = 0; i < 4; i++)
        if (dtype.bits == 8u << i)
            return letters[dtype.code][i];
    return NULL;
}

/* Shape, then strides in bytes: the buffer may outlive the handle that has them. */
static Py_ssize_t *geometry_of(const tr_tensor *tensor)
{
    uint32_t ndim = tensor->ndim;
    Py_ssize_t *geometry = PyMem_Malloc((2 * ndim + 1) * sizeof(*geometry));
    Py_ssize_t size = (Py_ssize_t)tr_dtype_bytes(tensor->dtype);

    if (!geometry)
        PyErr_NoMemory();
    for (uint32_t i = 0; geometry && i < ndim; i++) {
        geometry[i] = (Py_ssize_t)tensor->shape[i];
        geometry[ndim + i] = (Py_ssize_t)tensor->strides[i] * size;
    }
    return geometry;
}

/* The tensor while its message is in hand, or NULL. In a forked child the library may have
 * given the place of what the parent held to another message: then the handle is stale. */
static const tr_tensor *tensor_of(const ViewObject *view)
{
    return tr_message_tensor(view->slot->message, view->index);
}

/* The same, with an exception. */
const tr_tensor *view_tensor(PyObject *self)
{
    const tr_tensor *tensor = tensor_of((ViewObject *)self);

    if (!tensor)
        PyErr_SetString(PyExc_ValueError,
                        "the message of this view was sent, released, or taken before a "
                        "fork by the parent");
    return tensor;
}

static int view_getbuffer(PyObject *self, Py_buffer *buffer, int flags)
{
    static char nothing; /* what an empty tensor points at */
    const tr_tensor *tensor = view_tensor(self);
    bool contiguous_asked = (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS;
    const char *format;
    int read_only;

    buffer->obj = NULL;
    if (!tensor)
        return -1;
    format = flags & PyBUF_FORMAT ? format_of(tensor) : NULL;
    read_only = (tensor->flags & TR_TENSOR_READ_ONLY) != 0;
    if (!format || !(flags & PyBUF_ND))
        return PyBuffer_FillInfo(buffer, self, tensor->data ? tensor->data : &nothing,
                                 (Py_ssize_t)tensor->nbytes, read_only, flags);
    if (read_only && flags & PyBUF_WRITABLE) {
        PyErr_SetString(PyExc_BufferError, "the slot is shared and read-only");
        return -1;
    }
    if (tensor->flags & TR_TENSOR_F_ORDER && tensor->ndim > 1 &&
        (contiguous_asked || (flags & PyBUF_STRIDES) != PyBUF_STRIDES)) {
        PyErr_SetString(PyExc_BufferError, "the tensor is in Fortran order");
        return -1;
    }
    buffer->internal = geometry_of(tensor);
    if (!buffer->internal)
        return -1;
    buffer->buf = tensor->data ? tensor->data : &nothing;
    buffer->len = (Py_ssize_t)tensor->nbytes;
    buffer->itemsize = (Py_ssize_t)tr_dtype_bytes(tensor->dtype);
    buffer->readonly = read_only;
    buffer->ndim = (int)tensor->ndim;
    buffer->format = (char *)format;
    buffer->shape = buffer->internal;
    buffer->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES
                          ? buffer->shape + tensor->ndim
                          : NULL;
    buffer->suboffsets = NULL;
    Py_INCREF(self);
    buffer->obj = self;
    return 0;
}

static void view_releasebuffer(PyObject *self, Py_buffer *buffer)
{
    (void)self;
    PyMem_Free(buffer->internal);
}

static PyObject *view_repr(PyObject *self)
{
    const tr_tensor *tensor = tensor_of((ViewObject *)self);

    if (!tensor)
        return PyUnicode_FromString("<tensoring.View, sent or released>");
    return PyUnicode_FromFormat("<tensoring.View '%s' %s, %llu bytes%s>", tensor->name,
                                *tensor->descr ? tensor->descr
                                               : tr_dtype_name(tensor->dtype),
                                (unsigned long long)tensor->nbytes,
                                tensor->flags & TR_TENSOR_READ_ONLY ? ", read-only" : "");
}

static PyObject *view_nbytes(PyObject *self, void *unused)
{
    const tr_tensor *tensor = view_tensor(self);

    (void)unused;
    return tensor ? PyLong_FromUnsignedLongLong(tensor->nbytes) : NULL;
}

static PyObject *view_dtype_name(PyObject *self, void *unused)
{
    const tr_tensor *tensor = view_tensor(self);

    (void)unused;
    if (!tensor)
        return NULL;
    return text_from(*tensor->descr ? tensor->descr : tr_dtype_name(tensor->dtype));
}

static PyObject *view_message(PyObject *self, void *unused)
{
    ViewObject *view = (ViewObject *)self;

    (void)unused;
    return message_new(view->state, view->slot);
}

static PyGetSetDef view_getset[] = {
    {"nbytes", view_nbytes, NULL, "Bytes of the payload.", NULL},
    {"dtype_name", view_dtype_name, NULL, "Name of the type, or its NumPy descr.", NULL},
    {"message", view_message, NULL, "The message that the tensor is part of.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef view_methods[] = {
    {"__dlpack__", (PyCFunction)(void (*)(void))view_dlpack,
     METH_FASTCALL | METH_KEYWORDS,
     "__dlpack__($self, /, *, stream=None, max_version=None, dl_device=None, "
     "copy=None)\n--\n\n"
     "The tensor as a DLPack capsule that shares the slot's memory, or, with "
     "copy=True, has memory of its own. As NumPy's; stream can only be None."},
    {"__dlpack_device__", view_dlpack_device, METH_NOARGS,
     "__dlpack_device__($self, /)\n--\n\n(1, 0): host memory."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot view_slots[] = {
    {Py_tp_doc,
     "One tensor of a message. The slot is in use as long as a view of it lives."},
    {Py_tp_dealloc, view_dealloc},
    {Py_tp_repr, view_repr},
    {Py_tp_methods, view_methods},
    {Py_tp_getset, view_getset},
    {Py_bf_getbuffer, view_getbuffer},
    {Py_bf_releasebuffer, view_releasebuffer},
    {0, NULL},
};

PyType_Spec view_spec = {
    .name = "tensoring.View",
    .basicsize = sizeof(ViewObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = view_slots,
};
