/* SPDX-License-Identifier: MIT */
/* supervisor.c - the Supervisor type: tr_pool with workers that are forks of an interpreter.
 *
 * The library forks inside of its calls. As around os.fork(), PyOS_BeforeFork() comes before
 * that, in the thread that has the GIL, PyOS_AfterFork_Child() is the first thing in the
 * worker (options.child), and PyOS_AfterFork_Parent() comes when the call has returned.
 * Between the first and the last the interpreter is locked: no Python may run, so the deaths
 * that options.died tells of are kept in an array.
 *
 * Start, resize and reload fork. A step forks for workers that wait for their restart: they
 * wait since an earlier call, which tr_pool_status says, or since options.died was told of
 * their predecessor in this step. So a step that only looks runs no hook of
 * os.register_at_fork().
 *
 * All signals are blocked from before a fork until the worker has its own handlers: those of
 * the master would write into its wake-up descriptor. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core.h"

#include <tensoring/pool.h>

#define MOST_DEATHS (2 * TR_MAX_WORKERS) /* in one step: each process dies once */

typedef struct SupervisorObject {
    PyObject head;
    tr_pool *pool;   /* NULL: not started, or closed */
    Shared *shared;  /* of the arena that is reaped, or NULL */
    pid_t master;    /* 0: not started */
    bool is_worker;  /* this process is one */
    bool busy;       /* a call is in the library, or in hooks around a fork */
    bool forking;    /* the interpreter is ready for a fork */
    sigset_t mask;   /* that workers start with */
    sigset_t before; /* that the call which forks puts back */
    uint32_t ready;  /* workers that were, when step() told last */
    size_t deaths;
    tr_pool_death death[MOST_DEATHS];
} SupervisorObject;

/* ---- around a fork ---- */

/* Call a method of the Python layer that catches what it raises. */
static void call_layer(SupervisorObject *self, const char *method)
{
    PyObject *done = PyObject_CallMethod((PyObject *)self, method, NULL);

    if (!done)
        PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(done);
}

static void fork_begin(SupervisorObject *self)
{
    sigset_t all;

    if (self->forking)
        return;
    call_layer(self, "_before_fork");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &self->before);
    PyOS_BeforeFork();
    self->forking = true;
}

static void fork_end(SupervisorObject *self)
{
    if (!self->forking)
        return;
    self->forking = false;
    PyOS_AfterFork_Parent();
    pthread_sigmask(SIG_SETMASK, &self->before, NULL);
}

/* options.died: the interpreter may be locked. */
static void died(const tr_pool_death *death, void *context)
{
    SupervisorObject *self = context;

    if (self->deaths < MOST_DEATHS)
        self->death[self->deaths++] = *death;
    if (death->restart_ns >= 0)
        fork_begin(self); /* the successor may start in this step */
}

/* ---- the worker's side ---- */

/* options.child */
static void child_begin(uint32_t worker, void *context)
{
    SupervisorObject *self = context;
    PyObject *done;

    PyOS_AfterFork_Child();
    self->is_worker = true;
    self->busy = self->forking = false;
    done = PyObject_CallMethod((PyObject *)self, "_begin", "I", worker);
    if (done)
        Py_DECREF(done);
    else {
        PyErr_WriteUnraisable((PyObject *)self);
        _exit(EXIT_FAILURE);
    }
}

/* options.run */
static int run(tr_pool_worker *worker, void *context)
{
    SupervisorObject *self = context;
    PyObject *type = PyObject_GetAttrString((PyObject *)self, "_worker_type");
    PyObject *made = type ? worker_new((PyTypeObject *)type, worker) : NULL;
    PyObject *code = NULL;
    long number = EXIT_FAILURE;

    pthread_sigmask(SIG_SETMASK, &self->mask, NULL);
    if (made)
        code = PyObject_CallMethod((PyObject *)self, "_main", "O", made);
    if (code)
        number = PyLong_AsLong(code);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable((PyObject *)self);
    return (int)number;
}

/* ---- the master's side ---- */

static State *state_for(SupervisorObject *self)
{
    return state_of(Py_TYPE((PyObject *)self));
}

static PyObject *fail(SupervisorObject *self, int code, const char *what)
{
    return code == RAISED ? NULL : raise_code(state_for(self), code, what);
}

static void raise_forked(SupervisorObject *self)
{
    char detail[80];
    PyObject *error;

    PyOS_snprintf(detail, sizeof(detail), "the supervisor is process %d",
                  (int)self->master);
    error = PyObject_CallFunction(state_for(self)->error, "iss", TR_EFORK, detail,
                                  "supervisor");
    if (error)
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
}

static bool usable(SupervisorObject *self)
{
    if (self->master && self->master != getpid())
        raise_forked(self);
    else if (self->busy)
        PyErr_SetString(PyExc_RuntimeError, "the supervisor is in another call");
    else if (!self->pool)
        PyErr_SetString(PyExc_ValueError, "the supervisor is closed");
    return !PyErr_Occurred();
}

/* The descriptors that workers keep, of a list; free it with PyMem_Free(). */
static int *keep_from(PyObject *list, uint32_t *count)
{
    Py_ssize_t n = PyList_Size(list);
    int *keep = n < 0 ? NULL : PyMem_Malloc(((size_t)n + 1) * sizeof(*keep));

    if (!keep && n >= 0)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; keep && i < n; i++)
        keep[i] = (int)PyLong_AsLong(PyList_GetItem(list, i));
    *count = n < 0 ? 0 : (uint32_t)n;
    return keep;
}

static int start(SupervisorObject *self, tr_pool_options *options, PyObject *arena)
{
    int code;

    if (arena != Py_None) {
        Shared *shared = NULL;

        if (PyObject_TypeCheck(arena, state_for(self)->arena_type))
            shared = shared_of(arena);
        else
            PyErr_Format(PyExc_TypeError, "arena is %R; give an Arena, or None", arena);
        if (!shared)
            return RAISED;
        options->arena = shared->arena;
        self->shared = shared_take(shared);
    }
    options->run = run;
    options->died = died;
    options->child = child_begin;
    options->context = self;
    self->master = getpid();
    pthread_sigmask(SIG_SETMASK, NULL, &self->mask);
    self->busy = true;
    fork_begin(self);
    code = tr_pool_start(options, &self->pool);
    fork_end(self);
    self->busy = false;
    return code;
}

/* _start(workers, flags, restart, max_jobs, max_private_bytes, backoff_ns, backoff_max_ns,
 * drain_ns, stop_signal, enter_flags, (policy, flags, reserve_cores, cores_per_worker), keep,
 * arena) */
static PyObject *supervisor_start(PyObject *object, PyObject *args)
{
    SupervisorObject *self = (SupervisorObject *)object;
    tr_pool_options options = TR_POOL_OPTIONS_INIT;
    tr_plan_options plan = TR_PLAN_OPTIONS_INIT;
    long long backoff, backoff_max, drain;
    unsigned long long max_jobs, max_bytes;
    PyObject *list, *arena;
    int *keep, code;

    if (!PyArg_ParseTuple(
            args, "IIIKKLLLiI(IIII)O!O:_start", &options.workers, &options.flags,
            &options.restart, &max_jobs, &max_bytes, &backoff, &backoff_max, &drain,
            &options.stop_signal, &options.enter_flags, &plan.policy, &plan.flags,
            &plan.reserve_cores, &plan.cores_per_worker, &PyList_Type, &list, &arena))
        return NULL;
    if (self->master)
        return PyErr_Format(PyExc_RuntimeError, "the supervisor was started before");
    keep = keep_from(list, &options.keep_count);
    if (!keep || PyErr_Occurred()) {
        PyMem_Free(keep);
        return NULL;
    }
    options.keep = keep;
    options.plan = &plan;
    options.max_jobs = max_jobs;
    options.max_private_bytes = max_bytes;
    options.backoff_ns = backoff;
    options.backoff_max_ns = backoff_max;
    options.drain_ns = drain;
    code = start(self, &options, arena);
    PyMem_Free(keep);
    if (code)
        return fail(self, code, "start");
    Py_RETURN_NONE;
}

/* One look, without waiting. That a worker is ready counts as an event, too. */
static int step_now(SupervisorObject *self)
{
    tr_pool_status before = TR_POOL_STATUS_INIT, after = TR_POOL_STATUS_INIT;
    int code = tr_pool_status_get(self->pool, &before);

    if (code)
        return code;
    self->busy = true;
    if (before.waiting)
        fork_begin(self);
    code = tr_pool_step(self->pool, TR_NOWAIT);
    fork_end(self);
    self->busy = false;
    if (code == TR_EAGAIN && !tr_pool_status_get(self->pool, &after) &&
        after.ready != self->ready) {
        self->ready = after.ready;
        code = 0;
    }
    return code;
}

/* Until the pool's descriptor is readable, or a signal's handler must run. False with an
 * exception. */
static bool await(SupervisorObject *self, int64_t most_ns)
{
    int ran = wait_for_greenlets((PyObject *)self, TR_WAIT_READABLE, most_ns, 0);
    struct pollfd ready = {.events = POLLIN};
    PyThreadState *gil;

    if (ran || tr_pool_fd(self->pool, &ready.fd))
        return ran >= 0;
    gil = PyEval_SaveThread();
    (void)poll(&ready, 1, (int)((most_ns + 999999) / 1000000));
    PyEval_RestoreThread(gil);
    return true;
}

static int step(SupervisorObject *self, int64_t timeout_ns)
{
    int64_t slice_ns = SLICE_NS;
    int64_t deadline_ns;

    if (timeout_ns < 0 || __builtin_add_overflow(now_ns(), timeout_ns, &deadline_ns))
        deadline_ns = INT64_MAX;
    for (;;) {
        int code = step_now(self);
        int64_t left_ns;

        if (code != TR_EAGAIN && code != TR_EINTR)
            return code;
        left_ns = deadline_ns == INT64_MAX ? slice_ns : deadline_ns - now_ns();
        if (left_ns <= 0)
            return TR_ETIMEDOUT; /* the detail says what it waits for */
        if (!await(self, left_ns < slice_ns ? left_ns : slice_ns))
            return RAISED;
        slice_ns = next_slice(slice_ns);
        if (PyErr_CheckSignals() < 0 || !usable(self))
            return RAISED;
    }
}

/* _step(timeout, what) -> whether something has happened; with `what`, a call that must end
 * in time, TimedOutError if nothing has. */
static PyObject *supervisor_step(PyObject *object, PyObject *args)
{
    SupervisorObject *self = (SupervisorObject *)object;
    PyObject *seconds;
    const char *what;
    int64_t timeout_ns;
    int code;

    if (!PyArg_ParseTuple(args, "Oz:_step", &seconds, &what) ||
        get_timeout(seconds, &timeout_ns) < 0 || !usable(self))
        return NULL;
    code = step(self, timeout_ns);
    if (code && (what || code != TR_ETIMEDOUT))
        return fail(self, code, what ? what : "step");
    return PyBool_FromLong(!code);
}

static PyObject *death_row(const tr_pool_death *death)
{
    return Py_BuildValue(
        "(IiIiiOOIKKKLIIII)", death->worker, (int)death->pid, death->generation,
        (int)death->signal, (int)death->exit_code, death->dumped ? Py_True : Py_False,
        death->expected ? Py_True : Py_False, death->in_a_row,
        (unsigned long long)death->lived_ns, (unsigned long long)death->jobs,
        (unsigned long long)death->max_rss_bytes, (long long)death->restart_ns,
        death->reaped, death->freed, death->redelivered, death->dropped);
}

/* _deaths() -> [row], those that were not taken before */
static PyObject *supervisor_deaths(PyObject *object, PyObject *unused)
{
    SupervisorObject *self = (SupervisorObject *)object;
    PyObject *list = PyList_New(0);

    (void)unused;
    for (size_t i = 0; list && i < self->deaths; i++) {
        PyObject *row = death_row(&self->death[i]);

        if (!row || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    if (list)
        self->deaths = 0;
    return list;
}

static PyObject *supervisor_resize(PyObject *object, PyObject *number)
{
    SupervisorObject *self = (SupervisorObject *)object;
    uint32_t workers;
    int code;

    if (!to_u32(number, &workers) || !usable(self))
        return NULL;
    self->busy = true;
    fork_begin(self);
    code = tr_pool_resize(self->pool, workers);
    fork_end(self);
    self->busy = false;
    if (code)
        return fail(self, code, "resize");
    Py_RETURN_NONE;
}

static PyObject *supervisor_reload(PyObject *object, PyObject *unused)
{
    SupervisorObject *self = (SupervisorObject *)object;
    int code;

    (void)unused;
    if (!usable(self))
        return NULL;
    self->busy = true;
    fork_begin(self);
    code = tr_pool_reload(self->pool);
    fork_end(self);
    self->busy = false;
    if (code)
        return fail(self, code, "reload");
    Py_RETURN_NONE;
}

static PyObject *supervisor_signal(PyObject *object, PyObject *number)
{
    SupervisorObject *self = (SupervisorObject *)object;
    long signal = PyLong_AsLong(number);

    if (PyErr_Occurred() || !usable(self))
        return NULL;
    tr_pool_signal(self->pool, (int)signal);
    Py_RETURN_NONE;
}

static PyObject *supervisor_drain(PyObject *object, PyObject *unused)
{
    SupervisorObject *self = (SupervisorObject *)object;

    (void)unused;
    if (!usable(self))
        return NULL;
    tr_pool_drain(self->pool);
    Py_RETURN_NONE;
}

static PyObject *supervisor_status(PyObject *object, PyObject *unused)
{
    SupervisorObject *self = (SupervisorObject *)object;
    tr_pool_status status = TR_POOL_STATUS_INIT;
    int code;

    (void)unused;
    if (!usable(self))
        return NULL;
    code = tr_pool_status_get(self->pool, &status);
    if (code)
        return fail(self, code, "status");
    return Py_BuildValue(
        "(IIIIIIKKK)", status.workers, status.alive, status.ready, status.draining,
        status.waiting, status.generation, (unsigned long long)status.deaths,
        (unsigned long long)status.started, (unsigned long long)status.jobs);
}

/* _pid(index) -> the process that is this worker now, or 0 */
static PyObject *supervisor_pid(PyObject *object, PyObject *number)
{
    SupervisorObject *self = (SupervisorObject *)object;
    uint32_t index;

    if (!to_u32(number, &index) || !usable(self))
        return NULL;
    return PyLong_FromLong(tr_pool_pid(self->pool, index));
}

/* _plan() -> bytes, or None */
static PyObject *supervisor_plan(PyObject *object, PyObject *unused)
{
    SupervisorObject *self = (SupervisorObject *)object;
    const tr_plan *plan;

    (void)unused;
    if (!usable(self))
        return NULL;
    plan = tr_pool_plan(self->pool);
    if (!plan)
        Py_RETURN_NONE;
    return PyBytes_FromStringAndSize((const char *)(const void *)plan,
                                     (Py_ssize_t)tr_plan_bytes());
}

static PyObject *supervisor_fileno(PyObject *object, PyObject *unused)
{
    SupervisorObject *self = (SupervisorObject *)object;
    int fd, code;

    (void)unused;
    if (!usable(self))
        return NULL;
    code = tr_pool_fd(self->pool, &fd);
    return code ? fail(self, code, "fileno") : PyLong_FromLong(fd);
}

/* A worker needs what its copy of the pool has. Other threads run while killed workers end. */
static void forget(SupervisorObject *self)
{
    tr_pool *pool = self->pool;
    PyThreadState *gil;

    if (self->is_worker)
        return;
    self->pool = NULL;
    if (pool) {
        gil = PyEval_SaveThread();
        tr_pool_close(pool);
        PyEval_RestoreThread(gil);
    }
    if (self->shared)
        shared_drop(self->shared);
    self->shared = NULL;
}

static PyObject *supervisor_close(PyObject *object, PyObject *unused)
{
    SupervisorObject *self = (SupervisorObject *)object;

    (void)unused;
    if (self->busy)
        return PyErr_Format(PyExc_RuntimeError, "the supervisor is in another call");
    forget(self);
    Py_RETURN_NONE;
}

static PyObject *supervisor_closed(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(!((SupervisorObject *)object)->pool);
}

static void supervisor_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    freefunc free_object = PyType_GetSlot(type, Py_tp_free);

    forget((SupervisorObject *)object);
    free_object(object);
    Py_DECREF(type);
}

static PyGetSetDef supervisor_getset[] = {
    {"closed", supervisor_closed, NULL, "Whether it is closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef supervisor_methods[] = {
    {"_start", supervisor_start, METH_VARARGS, NULL},
    {"_step", supervisor_step, METH_VARARGS, NULL},
    {"_deaths", supervisor_deaths, METH_NOARGS, NULL},
    {"_resize", supervisor_resize, METH_O, NULL},
    {"_reload", supervisor_reload, METH_NOARGS, NULL},
    {"_signal", supervisor_signal, METH_O, NULL},
    {"_drain", supervisor_drain, METH_NOARGS, NULL},
    {"_status", supervisor_status, METH_NOARGS, NULL},
    {"_pid", supervisor_pid, METH_O, NULL},
    {"_plan", supervisor_plan, METH_NOARGS, NULL},
    {"fileno", supervisor_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nReadable when step() has something to do. Do not read from "
     "it."},
    {"close", supervisor_close, METH_NOARGS,
     "close($self, /)\n--\n\nKill the workers that are left, and forget the supervisor."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot supervisor_slots[] = {
    {Py_tp_doc, "Pre-forked workers, see tensoring.Supervisor."},
    {Py_tp_dealloc, supervisor_dealloc},
    {Py_tp_methods, supervisor_methods},
    {Py_tp_getset, supervisor_getset},
    {0, NULL},
};

static PyType_Spec supervisor_spec = {
    .name = "tensoring._core.Supervisor",
    .basicsize = sizeof(SupervisorObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = supervisor_slots,
};

static int add(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int code = type ? PyModule_AddObjectRef(module, name, type) : -1;

    Py_XDECREF(type);
    return code;
}

int add_supervisor(PyObject *module)
{
    return add(module, &supervisor_spec, "Supervisor");
}
