/* SPDX-License-Identifier: MIT */
/* worker.c - the Worker type: this process as a worker of a supervisor. */
#include "core.h"

#include <tensoring/pool.h>

typedef struct WorkerObject {
    PyObject head;
    tr_pool_worker *worker; /* lives as long as the process */
} WorkerObject;

PyObject *worker_new(PyTypeObject *type, tr_pool_worker *worker)
{
    WorkerObject *self = (WorkerObject *)PyType_GenericAlloc(type, 0);

    if (self)
        self->worker = worker;
    return (PyObject *)self;
}

tr_pool_worker *worker_of(PyObject *worker)
{
    return ((WorkerObject *)worker)->worker;
}

static PyObject *worker_stopping(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(tr_pool_worker_stopping(((WorkerObject *)self)->worker));
}

static PyObject *worker_ready(PyObject *self, PyObject *unused)
{
    (void)unused;
    tr_pool_worker_ready(((WorkerObject *)self)->worker);
    Py_RETURN_NONE;
}

static PyObject *worker_job_done(PyObject *self, PyObject *unused)
{
    (void)unused;
    tr_pool_worker_job_done(((WorkerObject *)self)->worker);
    Py_RETURN_NONE;
}

static PyObject *worker_index(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(tr_pool_worker_index(((WorkerObject *)self)->worker));
}

static PyObject *worker_generation(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(
        tr_pool_worker_generation(((WorkerObject *)self)->worker));
}

/* What the plan that it has adopted says; 0 without one. */
static void read_plan(PyObject *self, uint32_t *threads, uint32_t *workers)
{
    const tr_plan *plan = tr_pool_worker_plan(((WorkerObject *)self)->worker);
    tr_plan_info info = TR_PLAN_INFO_INIT;

    *threads = *workers = 0;
    if (tr_worker_index() == TR_PLAN_UNKNOWN || tr_plan_info_get(plan, &info))
        return;
    *threads = tr_worker_threads();
    *workers = info.workers;
}

static PyObject *worker_threads(PyObject *self, void *unused)
{
    uint32_t threads, workers;

    (void)unused;
    read_plan(self, &threads, &workers);
    return PyLong_FromUnsignedLong(threads);
}

/* (threads, workers) of the plan */
static PyObject *worker_placed(PyObject *self, void *unused)
{
    uint32_t threads, workers;

    (void)unused;
    read_plan(self, &threads, &workers);
    return Py_BuildValue("(II)", threads, workers);
}

static void worker_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    freefunc free_object = PyType_GetSlot(type, Py_tp_free);

    free_object(object);
    Py_DECREF(type);
}

static PyGetSetDef worker_getset[] = {
    {"index", worker_index, NULL, "Its place in the plan.", NULL},
    {"generation", worker_generation, NULL, "How many reloads it came after.", NULL},
    {"threads", worker_threads, NULL,
     "How many threads the plan gives it; 0: there is no plan.", NULL},
    {"_placed", worker_placed, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef worker_methods[] = {
    {"_stopping", worker_stopping, METH_NOARGS, NULL},
    {"ready", worker_ready, METH_NOARGS,
     "ready($self, /)\n--\n\nSay that the worker can work now: its predecessor may go."},
    {"job_done", worker_job_done, METH_NOARGS,
     "job_done($self, /)\n--\n\nCount a job, for max_jobs. jobs() and serve() do so."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot worker_slots[] = {
    {Py_tp_doc, "A worker of a supervisor, see tensoring.Worker."},
    {Py_tp_dealloc, worker_dealloc},
    {Py_tp_methods, worker_methods},
    {Py_tp_getset, worker_getset},
    {0, NULL},
};

PyType_Spec worker_spec = {
    .name = "tensoring._core.Worker",
    .basicsize = sizeof(WorkerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = worker_slots,
};
