/* SPDX-License-Identifier: MIT */
/* module.c - the module: its types, its state, and how codes become exceptions. */
#include "core.h"

State *state_of(PyTypeObject *type)
{
    /* A class of the Python layer derives from ours; the first heap type with our module
     * on the way up is the one. */
    while (type) {
        PyObject *module = PyType_GetModule(type);

        if (module && PyModule_GetDef(module) == &core_module)
            return PyModule_GetState(module);
        PyErr_Clear();
        type = PyType_GetSlot(type, Py_tp_base);
    }
    return NULL;
}

PyObject *text_from(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "backslashreplace");
}

/* Set the exception of @p code, unless one is set. Returns NULL. */
PyObject *raise_code(State *state, int code, const char *what)
{
    const char *detail = code == CLOSED_HERE ? "close() was called during this call"
                                             : tr_error_detail();
    PyObject *error;

    if (code == RAISED || PyErr_Occurred())
        return NULL;
    code = code == CLOSED_HERE ? TR_ECLOSED : code;
    if (!state->error) {
        PyErr_Format(PyExc_RuntimeError, "%s: %s", what, tr_strerror(code));
        return NULL;
    }
    error = PyObject_CallFunction(state->error, "iNs", code, text_from(detail), what);
    if (error) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

/* Raise this in place of what is raised: `name` is `value`; `way`. */
static void wrong(PyObject *kind, const char *name, PyObject *value, const char *way)
{
    PyErr_Clear();
    PyErr_Format(kind, "%s is %R; %s", name, value, way);
}

int to_key(PyObject *key, void *out)
{
    Py_ssize_t length;
    const char *text;

    if (!PyUnicode_Check(key)) {
        wrong(PyExc_TypeError, "the key", key, "give a str");
        return 0;
    }
    text = PyUnicode_AsUTF8AndSize(key, &length);
    if (text && strlen(text) != (size_t)length) {
        wrong(PyExc_ValueError, "the key", key, "give a str without NUL");
        return 0;
    }
    *(const char **)out = text;
    return text != NULL;
}

static int to_version(const char *name, PyObject *number, void *out)
{
    int is_index = PyIndex_Check(number);

    if (is_index && to_u64(number, out))
        return 1;
    wrong(is_index ? PyExc_ValueError : PyExc_TypeError, name, number,
          "give a version, which is from 0 to 18446744073709551615");
    return 0;
}

int to_expected(PyObject *number, void *out)
{
    return to_version("expected", number, out);
}

int to_newer_than(PyObject *number, void *out)
{
    return to_version("newer_than", number, out);
}

/* Seconds, None forever. */
int get_timeout(PyObject *seconds, int64_t *timeout_ns)
{
    double value;

    if (!seconds || seconds == Py_None) {
        *timeout_ns = TR_FOREVER;
        return 0;
    }
    value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            wrong(PyExc_TypeError, "the timeout", seconds,
                  "give seconds from 0, or None to wait forever");
        return -1;
    }
    if (value != value) {
        PyErr_SetString(PyExc_ValueError,
                        "the timeout is not a number; give seconds from 0, or None to "
                        "wait forever");
        return -1;
    }
    if (value < 0) {
        PyErr_Format(PyExc_ValueError,
                     "the timeout is %R; it must be 0 or more, or None to wait forever",
                     seconds);
        return -1;
    }
    *timeout_ns = value < 9e9 ? (int64_t)(value * 1e9) : TR_FOREVER;
    return 0;
}

/* Unlike "I" and "K", which cut off what does not fit. */
static int to_number(PyObject *number, unsigned long long most, unsigned long long *out)
{
    PyObject *whole = PyNumber_Index(number);

    if (!whole)
        return 0;
    *out = PyLong_AsUnsignedLongLong(whole);
    Py_DECREF(whole);
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_OverflowError))
        return 0;
    if (PyErr_Occurred() || *out > most) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "%S is not from 0 to %llu", number, most);
        return 0;
    }
    return 1;
}

int to_u32(PyObject *number, void *out)
{
    unsigned long long value;

    if (!to_number(number, UINT32_MAX, &value))
        return 0;
    *(uint32_t *)out = (uint32_t)value;
    return 1;
}

int to_u64(PyObject *number, void *out)
{
    unsigned long long value;

    if (!to_number(number, UINT64_MAX, &value))
        return 0;
    *(uint64_t *)out = value;
    return 1;
}

static int find_name(PyObject *name, const char *const names[])
{
    for (int i = 0; names[i]; i++)
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0)
            return i;
    return -1;
}

/* Arguments of a fast call, by place or by name; @p values are borrowed. */
int parse(const char *what, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
          const char *const names[], size_t required, PyObject **values)
{
    Py_ssize_t named = kwnames ? PyTuple_Size(kwnames) : 0;
    Py_ssize_t known = 0;

    while (names[known])
        known++;
    if (nargs > known) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments", what, known);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        values[i] = args[i];
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GetItem(kwnames, i);
        int at = find_name(name, names);

        if (at < 0 || values[at]) {
            PyErr_Format(PyExc_TypeError, "%s() got %s argument '%U'", what,
                         at < 0 ? "an unknown" : "twice the", name);
            return -1;
        }
        values[at] = args[nargs + i];
    }
    for (size_t i = 0; i < required; i++) {
        if (!values[i]) {
            PyErr_Format(PyExc_TypeError, "%s() misses the argument '%s'", what,
                         names[i]);
            return -1;
        }
    }
    return 0;
}

static PyObject *core_setup(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *ndarray, *encode, *decode, *dtype_for, *error, *scalars, *makers, *loads;

    if (!PyArg_ParseTuple(args, "OOOOOO!O!O:_setup", &ndarray, &encode, &decode,
                          &dtype_for, &error, &PyDict_Type, &scalars, &PyTuple_Type,
                          &makers, &loads))
        return NULL;
    if (!PyType_Check(ndarray)) {
        PyErr_SetString(PyExc_TypeError, "ndarray is a type");
        return NULL;
    }
#define KEEP(name)                   \
    do {                             \
        PyObject *old = state->name; \
        Py_INCREF(name);             \
        state->name = name;          \
        Py_XDECREF(old);             \
    } while (0)
    KEEP(ndarray);
    KEEP(encode);
    KEEP(decode);
    KEEP(dtype_for);
    KEEP(error);
    KEEP(scalars);
    KEEP(makers);
    KEEP(loads);
#undef KEEP
    if (learn_array_layout(state) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *core_unlink(PyObject *module, PyObject *args)
{
    const char *name;
    int code;

    if (!PyArg_ParseTuple(args, "s:unlink", &name))
        return NULL;
    code = tr_arena_unlink(name);
    if (code)
        return raise_code(PyModule_GetState(module), code, "unlink");
    Py_RETURN_NONE;
}

static PyObject *core_sweep(PyObject *module, PyObject *args)
{
    const char *prefix;
    uint32_t removed = 0;
    PyThreadState *gil;
    int code;

    if (!PyArg_ParseTuple(args, "s:sweep", &prefix))
        return NULL;
    gil = PyEval_SaveThread();
    code = tr_arena_sweep(prefix, &removed);
    PyEval_RestoreThread(gil);
    if (code)
        return raise_code(PyModule_GetState(module), code, "sweep");
    return PyLong_FromUnsignedLong(removed);
}

static PyMethodDef core_methods[] = {
    {"_setup", core_setup, METH_VARARGS,
     "_setup($module, ndarray, encode, decode, dtype_for, error, scalars, makers, loads, "
     "/)\n--\n\nWhat the Python layer gives the extension."},
    {"remote_code", remote_code, METH_NOARGS,
     "remote_code($module, /)\n--\n\nThe code of the server's last error."},
    {"end_with_parent", end_with_parent, METH_NOARGS,
     "end_with_parent($module, /)\n--\n\nEnd this process when its parent ends."},
    {"end_with", end_with, METH_O,
     "end_with($module, pidfd, /)\n--\n\nEnd this process when that one ends."},
    {"unlink", core_unlink, METH_VARARGS,
     "unlink($module, name, /)\n--\n\nRemove the name of an arena."},
    {"sweep", core_sweep, METH_VARARGS,
     "sweep($module, prefix, /)\n--\n\nRemove named arenas whose participants are all "
     "dead."},
    {"look", core_look, METH_VARARGS,
     "look($module, name, fd, /)\n--\n\n"
     "Totals, participants and channels of an arena that is not joined."},
    {"like_rows", core_like_rows, METH_O,
     "like_rows($module, list, /)\n--\n\nWhether these are packed arrays of one plain "
     "type and shape, which make one tensor."},
    {"private_indices", private_indices, METH_VARARGS,
     "private_indices($module, part, itemsize, bound, order, /)\n--\n\nA copy of "
     "integers; whether one is not in range(bound), whether one is smaller than the one "
     "before it."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);

    if (!type || PyModule_AddObjectRef(module, name, type) < 0) {
        Py_XDECREF(type);
        return NULL;
    }
    return (PyTypeObject *)type;
}

static int make_names(State *state)
{
    state->array_struct = PyUnicode_InternFromString("__array_struct__");
    state->dlpack = PyUnicode_InternFromString("__dlpack__");
    state->dlpack_args = Py_BuildValue("{s(ii)}", "max_version", 1, 1);
    state->fortran = PyUnicode_InternFromString("F");
    state->zero = PyLong_FromLong(0);
    state->metadata = PyUnicode_InternFromString("metadata");
    return state->array_struct && state->dlpack && state->dlpack_args && state->fortran &&
                   state->zero && state->metadata
               ? 0
               : -1;
}

static int core_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);

    if (PyInterpreterState_GetID(PyInterpreterState_Get()) != 0) {
        PyErr_SetString(PyExc_ImportError,
                        "tensoring works in the main interpreter only: the arenas of a "
                        "process are known to one of its interpreters");
        return -1;
    }
    state->arena_type = add_type(module, &arena_spec, "Arena");
    state->queue_type = add_type(module, &queue_spec, "Queue");
    state->message_type = add_type(module, &message_spec, "Message");
    state->view_type = add_type(module, &view_spec, "View");
    state->broadcast_type = add_type(module, &broadcast_spec, "Broadcast");
    state->subscription_type = add_type(module, &subscription_spec, "Subscription");
    state->board_type = add_type(module, &board_spec, "Board");
    state->watch_type = add_type(module, &watch_spec, "Watch");
    state->waitset_type = add_type(module, &waitset_spec, "WaitSet");
    state->worker_type = add_type(module, &worker_spec, "Worker");
    state->turn_type = add_type(module, &turn_spec, "Turn");
    state->wanted_type = add_type(module, &wanted_spec, "Wanted");
    if (!state->wanted_type || !state->turn_type || !state->watch_type ||
        !state->broadcast_type || !state->subscription_type || !state->board_type ||
        !state->waitset_type || !state->worker_type || !state->arena_type ||
        !state->queue_type || !state->message_type || !state->view_type)
        return -1;
    if (PyModule_AddFunctions(module, plan_methods) < 0 || add_supervisor(module) < 0)
        return -1;
    if (make_names(state) < 0 || add_constants(module) < 0)
        return -1;
    return 0;
}

/* clang-format off */
#define EACH_OBJECT(X)                                                              \
    X(arena_type) X(queue_type) X(broadcast_type) X(subscription_type)             \
    X(board_type) X(watch_type) X(waitset_type) X(wanted_type) X(worker_type) X(message_type) X(view_type) X(turn_type) X(ndarray) X(encode) \
    X(decode) X(dtype_for) X(error) X(array_struct) X(dlpack) X(dlpack_args)       \
    X(fortran) X(zero) X(metadata) X(scalars) X(makers) X(loads)
/* clang-format on */

static int core_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);

#define VISIT(name) Py_VISIT(state->name);
    EACH_OBJECT(VISIT)
#undef VISIT
    for (int i = 0; i < DTYPE_CODES * DTYPE_SIZES; i++)
        Py_VISIT(state->dtypes[i / DTYPE_SIZES][i % DTYPE_SIZES]);
    return 0;
}

static PyModuleDef_Slot core_slots[] = {
    {Py_mod_exec, core_exec},
    {0, NULL},
};

/* No m_clear: objects that outlive the module at shutdown still use its state, which goes
 * with the last type. */
struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "tensoring._core",
    .m_doc = "The C side of tensoring.",
    .m_size = sizeof(State),
    .m_methods = core_methods,
    .m_slots = core_slots,
    .m_traverse = core_traverse,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
