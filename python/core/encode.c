/* SPDX-License-Identifier: MIT */
/* encode.c - an object becomes a loaned message, filled.
 *
 * Plain ndarrays and bytes are done here; the Python layer cuts everything else into parts
 * (object, name, dtype), and they are loaned and filled here as one message. */
#include "core.h"

typedef struct LoanCall {
    tr_arena *arena;
    ChannelObject *channel; /* that the message is for, or NULL */
    const tr_tensor_spec *specs;
    size_t n;
    tr_message **out;
} LoanCall;

/* A loan for a channel ends when that is shut down, or closed by another thread. */
static int loan_op(void *arg, int64_t timeout_ns)
{
    LoanCall *call = arg;

    if (call->channel && call->channel->closing)
        return CLOSED_HERE;
    if (!call->channel || !call->channel->loan)
        return tr_message_loan(call->arena, call->specs, call->n, timeout_ns, call->out);
    return call->channel->loan(call->channel->handle, call->specs, call->n, timeout_ns,
                               call->out);
}

/* No slot is free: let the greenlets of this thread run until one may be. */
static int loan_beside(Shared *shared, LoanCall *call, int64_t timeout_ns)
{
    PyObject *wanted = shared->object
                           ? wanted_new(shared, call->channel, call->specs, call->n)
                           : NULL;
    int code = !wanted && shared->object
                   ? RAISED
                   : wait_in_slices(loan_op, call, timeout_ns, wanted, TR_WAIT_WRITABLE);

    greenlets_forget(&wanted);
    return code;
}

/* No slot is free: *@p wanted is what to wait for. */
static int loan_or_tell(Shared *shared, LoanCall *call, PyObject **wanted)
{
    int code = loan_op(call, TR_NOWAIT);

    if (code != TR_EAGAIN)
        return code;
    Py_CLEAR(*wanted); /* of another form of the object, which was tried before */
    *wanted = wanted_new(shared, call->channel, call->specs, call->n);
    return *wanted ? TR_EAGAIN : RAISED;
}

/* A new message; with REUSE_NS the request that *out is, which becomes its own answer. */
static int loan_sliced(Shared *shared, const tr_tensor_spec *specs, size_t n,
                       Patience patience, tr_message **out)
{
    LoanCall call = {shared->arena, patience.channel, specs, n, out};
    int code;

    if (patience.timeout_ns == REUSE_NS)
        return tr_request_reuse(*out, specs, n);
    if (patience.wanted)
        return loan_or_tell(shared, &call, patience.wanted);
    if (patience.timeout_ns == TR_NOWAIT || !has_gevent())
        return wait_in_slices(loan_op, &call, patience.timeout_ns, NULL, 0);
    code = loan_op(&call, TR_NOWAIT);
    return code == TR_EAGAIN ? loan_beside(shared, &call, patience.timeout_ns) : code;
}

static int copy_in(const tr_tensor *to, const Source *source)
{
    uint64_t nbytes = source->rows ? to->nbytes / (uint64_t)to->shape[0] : 0;

    if (!source->rows)
        return tr_tensor_fill(to, source->data, source->strided ? source->strides : NULL);
    for (int64_t i = 0; i < to->shape[0]; i++)
        memcpy((char *)to->data + (uint64_t)i * nbytes, source->rows[i], nbytes);
    return 0;
}

static int fill(tr_message *message, size_t i, const Source *source)
{
    const tr_tensor *to = tr_message_tensor(message, i);
    PyThreadState *gil;
    int code;

    if (!to)
        return TR_ECORRUPT;
    if (to->nbytes < COPY_NO_GIL)
        return to->nbytes ? copy_in(to, source) : 0;
    gil = PyEval_SaveThread();
    code = copy_in(to, source);
    PyEval_RestoreThread(gil);
    return code;
}

int set_content(tr_message *message, uint32_t content, const char *type, uint64_t id)
{
    tr_header header = TR_HEADER_INIT;
    int code = tr_message_header_get(message, &header);

    if (code)
        return code;
    header.content = content;
    header.correlation_id = id;
    memset(header.content_type, 0, sizeof(header.content_type));
    if (strlen(type) > TR_MAX_CONTENT_TYPE)
        return TR_ENAMETOOLONG;
    memcpy(header.content_type, type, strlen(type));
    return tr_message_header_set(message, &header);
}

int encode_one(Shared *shared, Source *source, Patience patience, tr_message **out)
{
    int code;

    source->spec.shape = source->shape;
    code = loan_sliced(shared, &source->spec, 1, patience, out);
    if (code)
        return code;
    code = fill(*out, 0, source);
    if (code)
        tr_message_release(*out);
    return code;
}

static int encode_bytes(Shared *shared, PyObject *bytes, Patience patience,
                        tr_message **out)
{
    Source source;
    char *data;
    Py_ssize_t nbytes;
    int code;

    if (PyBytes_AsStringAndSize(bytes, &data, &nbytes) < 0)
        return RAISED;
    source_raw(&source, data, (size_t)nbytes);
    code = encode_one(shared, &source, patience, out);
    if (code)
        return code;
    code = set_content(*out, TR_CONTENT_OCTETS, "", 0);
    if (code)
        tr_message_release(*out);
    return code;
}

/* The (code, bits, lanes, descr, flags) that the Python layer gave a type. The string lives
 * as long as the tuple. */
static int apply_dtype(PyObject *dtype, Source *source)
{
    unsigned int code, bits, lanes, flags;
    const char *descr;

    if (!PyArg_ParseTuple(dtype, "IIIsI;a dtype is (code, bits, lanes, descr, flags)",
                          &code, &bits, &lanes, &descr, &flags))
        return -1;
    source->spec.dtype = (tr_dtype){(uint8_t)code, (uint8_t)bits, (uint16_t)lanes};
    source->spec.descr = *descr ? descr : NULL;
    source->spec.flags |= flags;
    return 0;
}

static int open_part(State *state, PyObject *part, Source *source)
{
    PyObject *from, *dtype;
    const char *name;
    int needs;

    source->keeper = NULL;
    source->rows = NULL;
    source->buffer.obj = NULL;
    if (!PyTuple_Check(part)) {
        PyErr_SetString(PyExc_TypeError, "a part is (object, name, dtype)");
        return -1;
    }
    if (!PyArg_ParseTuple(part, "OzO;a part is (object, name, dtype)", &from, &name,
                          &dtype))
        return -1;
    needs = source_open(state, from, source);
    if (needs < 0)
        return -1;
    if (source->spec.ndim > TR_MAX_NDIM)
        return too_many_dimensions(source->spec.ndim);
    source->spec.name = name && *name ? name : NULL;
    if (dtype != Py_None)
        return apply_dtype(dtype, source);
    if (needs)
        PyErr_SetString(PyExc_TypeError, "the type of the array needs a description");
    return -needs;
}

int loan_and_fill(Shared *shared, const Source *sources, size_t n, Patience patience,
                  tr_message **out)
{
    tr_tensor_spec *specs = PyMem_Malloc((n ? n : 1) * sizeof(*specs));
    int code;

    if (!specs) {
        PyErr_NoMemory();
        return RAISED;
    }
    for (size_t i = 0; i < n; i++) {
        specs[i] = sources[i].spec;
        specs[i].shape = sources[i].shape;
    }
    code = loan_sliced(shared, specs, n, patience, out);
    PyMem_Free(specs);
    if (code)
        return code;
    for (size_t i = 0; i < n && !code; i++)
        code = fill(*out, i, &sources[i]);
    if (code)
        tr_message_release(*out);
    return code;
}

int encode_list(State *state, Shared *shared, PyObject *parts, open_one *open,
                Patience patience, tr_message **out)
{
    Py_ssize_t n = PyList_Size(parts);
    Source *sources = n < 0 ? NULL : PyMem_Malloc((size_t)(n ? n : 1) * sizeof(*sources));
    Py_ssize_t opened = 0;
    int code = RAISED;

    if (!sources) {
        if (n >= 0)
            PyErr_NoMemory();
        return RAISED;
    }
    while (opened < n) {
        /* Opening may run Python code; the list is ours, made for this call. */
        if (open(state, PyList_GetItem(parts, opened), &sources[opened]) < 0) {
            source_close(&sources[opened]);
            break;
        }
        opened++;
    }
    if (opened == n)
        code = loan_and_fill(shared, sources, (size_t)n, patience, out);
    for (Py_ssize_t i = 0; i < opened; i++)
        source_close(&sources[i]);
    PyMem_Free(sources);
    return code;
}

int encode_parts(State *state, Shared *shared, PyObject *encoded, Patience patience,
                 tr_message **out)
{
    unsigned int content;
    const char *type;
    PyObject *parts;
    int code;

    if (!PyTuple_Check(encoded) ||
        !PyArg_ParseTuple(encoded, "IsO;an encoded object is (content, type, parts)",
                          &content, &type, &parts) ||
        !PyList_Check(parts)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError,
                            "an encoded object is (content, type, parts)");
        return RAISED;
    }
    code = encode_list(state, shared, parts, open_part, patience, out);
    if (code || (content == TR_CONTENT_TENSORS && !*type))
        return code;
    code = set_content(*out, content, type, 0);
    if (code)
        tr_message_release(*out);
    return code;
}

static int encode_in_python(State *state, Shared *shared, PyObject *object,
                            Patience patience, tr_message **out)
{
    PyObject *encoded = PyObject_CallFunctionObjArgs(
        state->encode, object, shared->pickle ? Py_True : Py_False, NULL);
    int code;

    if (!encoded)
        return RAISED;
    if (PyTuple_Check(encoded))
        code = encode_parts(state, shared, encoded, patience, out);
    else
        code = encode_carried(state, shared, object, encoded, 0, patience, out);
    Py_DECREF(encoded);
    return code;
}

int encode_object(State *state, Shared *shared, PyObject *object, Patience patience,
                  tr_message **out)
{
    if ((PyObject *)Py_TYPE(object) == state->ndarray) {
        Source source;
        int needs = source_plain_array(state, object, &source);
        int code = RAISED;

        if (needs < 0)
            return RAISED;
        if (!needs)
            code = encode_one(shared, &source, patience, out);
        source_close(&source);
        if (!needs)
            return code;
    } else if (PyBytes_CheckExact(object)) {
        return encode_bytes(shared, object, patience, out);
    }
    return encode_in_python(state, shared, object, patience, out);
}

/* One row of a loan: (name, dtype, shape). */
static int describe_row(PyObject *row, Source *source)
{
    PyObject *dtype, *shape;
    const char *name;
    Py_ssize_t ndim;

    if (!PyTuple_Check(row) ||
        !PyArg_ParseTuple(row, "zO!O!;a row is (name, dtype, shape)", &name,
                          &PyTuple_Type, &dtype, &PyTuple_Type, &shape))
        return -1;
    memset(&source->spec, 0, sizeof(source->spec));
    if (apply_dtype(dtype, source) < 0)
        return -1;
    ndim = PyTuple_Size(shape);
    if (ndim > TR_MAX_NDIM) {
        PyErr_Format(PyExc_ValueError, "a tensor has at most %d dimensions", TR_MAX_NDIM);
        return -1;
    }
    for (Py_ssize_t i = 0; i < ndim; i++) {
        source->shape[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, i));
        if (source->shape[i] == -1 && PyErr_Occurred())
            return -1;
    }
    source->spec.name = name && *name ? name : NULL;
    source->spec.ndim = (uint32_t)ndim;
    source->spec.shape = source->shape;
    return 0;
}

int loan_described(State *state, Shared *shared, PyObject *list, Patience patience,
                   tr_message **out)
{
    Py_ssize_t n = PyList_Size(list);
    Source *rows = n < 0 ? NULL : PyMem_Calloc((size_t)(n ? n : 1), sizeof(*rows));
    tr_tensor_spec *specs = rows ? PyMem_Calloc((size_t)(n ? n : 1), sizeof(*specs))
                                 : NULL;
    int code = specs ? 0 : RAISED;

    (void)state;
    if (!specs && n >= 0)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < n && !code; i++) {
        if (describe_row(PyList_GetItem(list, i), &rows[i]) < 0)
            code = RAISED;
        specs[i] = rows[i].spec;
    }
    if (!code)
        code = loan_sliced(shared, specs, (size_t)n, patience, out);
    PyMem_Free(specs);
    PyMem_Free(rows);
    return code;
}
