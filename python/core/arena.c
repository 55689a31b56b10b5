/* SPDX-License-Identifier: MIT */
/* arena.c - the Arena type. The Python layer derives from it. */
#include "core.h"

Shared *shared_take(Shared *shared)
{
    shared->users++;
    return shared;
}

void shared_drop(Shared *shared)
{
    if (--shared->users)
        return;
    tr_arena_close(shared->arena);
    keeping_end(shared);
    PyMem_Free(shared);
}

/* The mapping behind an open Arena, or NULL with an exception. */
Shared *shared_of(PyObject *arena)
{
    ArenaObject *self = (ArenaObject *)arena;

    if (self->shared)
        return self->shared;
    PyErr_SetString(PyExc_ValueError, "the arena is closed");
    return NULL;
}

/* What the opener of a handle lets messages do. Nothing in shared memory can add to it. */
struct consent {
    int pickle;
    unsigned int max_expansion;
};

/* Takes @p arena over, also on failure. */
static PyObject *arena_new(PyTypeObject *type, tr_arena *arena, struct consent consent)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    Shared *shared = PyMem_Malloc(sizeof(*shared));
    ArenaObject *self = shared ? (ArenaObject *)PyType_GenericAlloc(type, 0) : NULL;
    int code;

    if (!self) {
        if (!shared)
            PyErr_NoMemory();
        PyMem_Free(shared);
        tr_arena_close(arena);
        return NULL;
    }
    code = tr_arena_info_get(arena, &info);
    tr_arena_set_interruptible(arena,
                               true); /* Python's handlers run at once, see wait.c */
    *shared = (Shared){.arena = arena,
                       .object = (PyObject *)self,
                       .users = 1,
                       .pickle = consent.pickle && info.flags & TR_ARENA_ALLOW_PICKLE,
                       .max_expansion = consent.max_expansion};
    self->state = state_of(type);
    self->shared = shared;
    if (code) {
        raise_code(self->state, code, "arena");
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void arena_dealloc(PyObject *object)
{
    ArenaObject *self = (ArenaObject *)object;
    PyTypeObject *type = Py_TYPE(object);
    freefunc free_object = PyType_GetSlot(type, Py_tp_free);

    if (self->shared) {
        self->shared->closed = true;
        self->shared->object = NULL;
        shared_drop(self->shared);
    }
    free_object(object);
    Py_DECREF(type);
}

static int classes_from(PyObject *list, tr_slot_class classes[TR_MAX_CLASSES])
{
    Py_ssize_t n = PyList_Size(list);

    if (n < 0 || n > TR_MAX_CLASSES) {
        if (n >= 0)
            PyErr_Format(PyExc_ValueError, "an arena has at most %d slot classes",
                         TR_MAX_CLASSES);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        uint64_t bytes, count;
        PyObject *pair = PyList_GetItem(list, i);

        if (!PyTuple_Check(pair)) {
            PyErr_SetString(PyExc_TypeError, "a slot class is (bytes, count)");
            return -1;
        }
        if (!PyArg_ParseTuple(pair, "O&O&;a slot class is (bytes, count)", to_u64, &bytes,
                              to_u64, &count))
            return -1;
        classes[i] = (tr_slot_class){bytes, count};
    }
    return (int)n;
}

static PyObject *arena_create(PyObject *type, PyObject *args)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_slot_class classes[TR_MAX_CLASSES];
    State *state = state_of((PyTypeObject *)type);
    const char *name;
    PyObject *list;
    long long spin_ns;
    tr_arena *arena;
    struct consent consent;
    PyThreadState *gil;
    int n, code;

    if (!PyArg_ParseTuple(args, "zO!IO&O&O&O&LO&O&O&O&IO&O&:_create", &name, &PyList_Type,
                          &list, &options.flags, to_u32, &options.max_participants,
                          to_u32, &options.max_channels, to_u32, &options.mode, to_u64,
                          &options.ring_bytes, &spin_ns, to_u32, &options.eventfds,
                          to_u32, &options.pins, to_u32, &options.uid, to_u32,
                          &options.gid, &consent.max_expansion, to_u64,
                          &options.memory_bytes, to_u64, &options.warm_bytes))
        return NULL;
    consent.pickle = options.flags & TR_ARENA_ALLOW_PICKLE;
    n = classes_from(list, classes);
    if (n < 0)
        return NULL;
    options.classes = n ? classes : NULL;
    options.class_count = (uint32_t)n;
    options.spin_ns = spin_ns;
    gil = PyEval_SaveThread();
    code = tr_arena_create(name, &options, &arena);
    PyEval_RestoreThread(gil);
    if (code)
        return raise_code(state, code, "create");
    return arena_new((PyTypeObject *)type, arena, consent);
}

/* A user's number, or None. */
static int owner_from(PyObject *object, uint32_t *owner)
{
    unsigned long number;

    if (object == Py_None)
        return 0;
    number = PyLong_AsUnsignedLong(object);
    if (PyErr_Occurred())
        return -1;
    if (number >= UINT32_MAX) {
        PyErr_Format(PyExc_ValueError, "owner is %lu, users have numbers below %lu",
                     number, (unsigned long)UINT32_MAX);
        return -1;
    }
    *owner = (uint32_t)number;
    return 0;
}

struct attach_call {
    const char *name;
    tr_attach_options options;
    bool waits;
    tr_arena *arena;
};

static int attach_op(void *arg, int64_t timeout_ns)
{
    struct attach_call *call = arg;
    int code;

    /* There is no handle yet whose waits a signal ends. */
    call->options.timeout_ns = timeout_ns < SLICE_NS ? timeout_ns : SLICE_NS;
    code = tr_arena_attach(call->name, &call->options, &call->arena);
    return code == TR_ENOENT && call->waits ? TR_EAGAIN : code;
}

static PyObject *arena_attach(PyObject *type, PyObject *args)
{
    struct attach_call call = {.options = TR_ATTACH_OPTIONS_INIT};
    struct consent consent;
    PyObject *owner, *timeout;
    int64_t timeout_ns;
    int group, code;

    if (!PyArg_ParseTuple(args, "spIpOO:_attach", &call.name, &consent.pickle,
                          &consent.max_expansion, &group, &owner, &timeout) ||
        owner_from(owner, &call.options.owner) < 0 ||
        get_timeout(timeout, &timeout_ns) < 0)
        return NULL;
    call.options.flags = group ? TR_ATTACH_GROUP : 0;
    call.waits = timeout_ns != TR_NOWAIT;
    code = wait_in_slices(attach_op, &call, timeout_ns, NULL, 0);
    if (code == RAISED)
        return NULL;
    if (code)
        return raise_code(state_of((PyTypeObject *)type), code, "attach");
    return arena_new((PyTypeObject *)type, call.arena, consent);
}

static PyObject *arena_attach_fd(PyObject *type, PyObject *args)
{
    struct consent consent;
    tr_arena *arena;
    int fd, code;

    if (!PyArg_ParseTuple(args, "ipI:_attach_fd", &fd, &consent.pickle,
                          &consent.max_expansion))
        return NULL;
    code = tr_arena_attach_fd(fd, &arena);
    if (code)
        return raise_code(state_of((PyTypeObject *)type), code, "attach");
    return arena_new((PyTypeObject *)type, arena, consent);
}

static PyObject *arena_close(PyObject *object, PyObject *unused)
{
    ArenaObject *self = (ArenaObject *)object;
    Shared *shared = self->shared;

    (void)unused;
    self->shared = NULL;
    if (shared) {
        shared->closed = true;
        shared->object = NULL;
        shared_drop(shared);
    }
    Py_RETURN_NONE;
}

static PyObject *arena_closed(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(!((ArenaObject *)object)->shared);
}

PyObject *message_made(State *state, Shared *shared, PyObject *object, Patience patience,
                       maker *make)
{
    tr_message *message;
    PyObject *wrapped;
    Slot *slot;
    int code = make(state, shared, object, patience, &message);

    if (code == TR_EAGAIN && patience.wanted && *patience.wanted)
        return *patience.wanted;
    if (patience.wanted)
        Py_CLEAR(*patience.wanted);
    if (code)
        return raise_code(state, code, "loan");
    slot = slot_new(shared, message);
    wrapped = slot ? message_new(state, slot) : NULL;
    if (slot)
        slot_drop(slot);
    return wrapped;
}

/* The three ways to a loaned message differ in @p make alone. */
static PyObject *make_message(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames, maker *make)
{
    static const char *const names[] = {"object", "timeout", NULL};
    Shared *shared = shared_of(object);
    PyObject *values[2] = {NULL};
    Patience patience = {.channel = NULL};

    if (!shared || parse("loan", args, nargs, kwnames, names, 1, values) < 0 ||
        get_timeout(values[1], &patience.timeout_ns) < 0)
        return NULL;
    return message_made(((ArenaObject *)object)->state, shared, values[0], patience,
                        make);
}

static PyObject *arena_loan(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    return make_message(object, args, nargs, kwnames, loan_described);
}

static PyObject *arena_encode(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames)
{
    return make_message(object, args, nargs, kwnames, encode_object);
}

/* encode_now(object) -> Message, or a Wanted if no slot is free */
static PyObject *arena_encode_now(PyObject *object, PyObject *value)
{
    Shared *shared = shared_of(object);
    PyObject *wanted = NULL;
    const Patience patience = {TR_NOWAIT, NULL, &wanted};

    return shared ? message_made(((ArenaObject *)object)->state, shared, value, patience,
                                 encode_object)
                  : NULL;
}

static PyObject *arena_encode_parts(PyObject *object, PyObject *const *args,
                                    Py_ssize_t nargs, PyObject *kwnames)
{
    return make_message(object, args, nargs, kwnames, encode_parts);
}

static PyObject *arena_reap(PyObject *object, PyObject *unused)
{
    Shared *shared = shared_of(object);
    tr_reap_report report = TR_REAP_REPORT_INIT;
    int code;

    (void)unused;
    if (!shared)
        return NULL;
    code = tr_arena_reap(shared->arena, &report);
    if (code)
        return raise_code(((ArenaObject *)object)->state, code, "reap");
    return Py_BuildValue("{sI sI sI sI}", "dead", report.dead, "freed", report.freed,
                         "redelivered", report.redelivered, "dropped", report.dropped);
}

static PyObject *arena_trim(PyObject *object, PyObject *unused)
{
    Shared *shared = shared_of(object);
    uint64_t bytes;
    int code;

    (void)unused;
    if (!shared)
        return NULL;
    code = tr_arena_trim(shared->arena, &bytes);
    if (code)
        return raise_code(((ArenaObject *)object)->state, code, "trim");
    return PyLong_FromUnsignedLongLong(bytes);
}

static PyObject *arena_device_fd(PyObject *object, PyObject *unused)
{
    Shared *shared = shared_of(object);
    int fd, code;

    (void)unused;
    if (!shared)
        return NULL;
    code = tr_arena_device_fd(shared->arena, &fd);
    if (code)
        return raise_code(((ArenaObject *)object)->state, code, "device_fd");
    return PyLong_FromLong(fd);
}

static PyObject *arena_info(PyObject *object, PyObject *unused)
{
    Shared *shared = shared_of(object);
    tr_arena_info info = TR_ARENA_INFO_INIT;
    int code;

    (void)unused;
    if (!shared)
        return NULL;
    code = tr_arena_info_get(shared->arena, &info);
    if (code)
        return raise_code(((ArenaObject *)object)->state, code, "info");
    return Py_BuildValue(
        "{sI sK sK sK sK sI sI sI sI sI sI sK si si sK sK sK sK sO}", "flags", info.flags,
        "total_bytes", (unsigned long long)info.total_bytes, "huge_bytes",
        (unsigned long long)info.huge_bytes, "resident_bytes",
        (unsigned long long)info.resident_bytes, "populate_ns",
        (unsigned long long)info.populate_ns, "class_count", info.class_count,
        "max_participants", info.max_participants, "max_channels", info.max_channels,
        "layout", info.layout, "self", info.self, "copy_routine", info.copy_routine,
        "base", (unsigned long long)(uintptr_t)info.base, "fd", info.fd, "huge_error",
        info.huge_error, "slots_bytes", (unsigned long long)info.slots_bytes,
        "warm_bytes", (unsigned long long)info.warm_bytes, "memory_bytes",
        (unsigned long long)info.memory_bytes, "received_bytes",
        (unsigned long long)info.received_bytes, "closing_is_safe",
        info.closing_is_safe ? Py_True : Py_False);
}

static PyObject *arena_set_spin(PyObject *object, PyObject *number)
{
    Shared *shared = shared_of(object);
    long long spin_ns = PyLong_AsLongLong(number);

    if (!shared || (spin_ns == -1 && PyErr_Occurred()))
        return NULL;
    tr_arena_set_spin(shared->arena, spin_ns);
    Py_RETURN_NONE;
}

static PyObject *arena_pickle(PyObject *object, void *unused)
{
    Shared *shared = shared_of(object);

    (void)unused;
    return shared ? PyBool_FromLong(shared->pickle) : NULL;
}

static PyObject *arena_max_expansion(PyObject *object, void *unused)
{
    Shared *shared = shared_of(object);

    (void)unused;
    return shared ? PyLong_FromUnsignedLong(shared->max_expansion) : NULL;
}

static PyGetSetDef arena_getset[] = {
    {"allow_pickle", arena_pickle, NULL,
     "Whether arbitrary objects may be sent and received by this handle: the arena was "
     "made for it and the opener of the handle agreed.",
     NULL},
    {"max_expansion", arena_max_expansion, NULL,
     "How many times its own size a message may take when it is decoded.", NULL},
    {"closed", arena_closed, NULL, "Whether close() was called.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef arena_methods[] = {
    {"_create", arena_create, METH_VARARGS | METH_CLASS, NULL},
    {"_attach", arena_attach, METH_VARARGS | METH_CLASS, NULL},
    {"_attach_fd", arena_attach_fd, METH_VARARGS | METH_CLASS, NULL},
    {"_loan", (PyCFunction)(void (*)(void))arena_loan, METH_FASTCALL | METH_KEYWORDS,
     NULL},
    {"_encode", (PyCFunction)(void (*)(void))arena_encode, METH_FASTCALL | METH_KEYWORDS,
     NULL},
    {"_encode_now", arena_encode_now, METH_O, NULL},
    {"_encode_parts", (PyCFunction)(void (*)(void))arena_encode_parts,
     METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_info", arena_info, METH_NOARGS, NULL},
    {"_stats", arena_stats, METH_NOARGS, NULL},
    {"_participants", arena_participants, METH_NOARGS, NULL},
    {"_sizes", arena_sizes, METH_NOARGS, NULL},
    {"_histograms", arena_histograms, METH_O, NULL},
    {"_channels", arena_channels, METH_NOARGS, NULL},
    {"reap", arena_reap, METH_NOARGS,
     "reap($self, /)\n--\n\n"
     "Take over what dead participants held, now; waits do so by themselves. A dict, see "
     "tensoring.reports.Reaped."},
    {"trim", arena_trim, METH_NOARGS,
     "trim($self, /)\n--\n\nGive idle memory of a lazy arena back; how many bytes."},
    {"device_fd", arena_device_fd, METH_NOARGS,
     "device_fd($self, /)\n--\n\n"
     "A new descriptor that stands for the devices that use the arena's memory for this "
     "process. Keep it open as long as a driver may use the memory, and os.close() it "
     "after the driver's own descriptors; at the end of the process the kernel does."},
    {"_set_spin", arena_set_spin, METH_O, NULL},
    {"close", arena_close, METH_NOARGS,
     "close($self, /)\n--\n\nLeave the arena. Views that live keep the memory mapped."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot arena_slots[] = {
    {Py_tp_doc, "One mapping of one arena."},
    {Py_tp_dealloc, arena_dealloc},
    {Py_tp_methods, arena_methods},
    {Py_tp_getset, arena_getset},
    {0, NULL},
};

PyType_Spec arena_spec = {
    .name = "tensoring._core.Arena",
    .basicsize = sizeof(ArenaObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = arena_slots,
};
