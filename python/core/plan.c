/* SPDX-License-Identifier: MIT */
/* plan.c - plans as bytes, and a worker's entry. */
#include "core.h"

#include <tensoring/enter.h>

static PyObject *make_plan(PyObject *module, PyObject *args)
{
    tr_plan_options options = TR_PLAN_OPTIONS_INIT;
    unsigned int workers;
    PyObject *bytes;
    PyThreadState *gil;
    int code;

    if (!PyArg_ParseTuple(args, "O&IIO&O&:plan", to_u32, &workers, &options.policy,
                          &options.flags, to_u32, &options.reserve_cores, to_u32,
                          &options.cores_per_worker))
        return NULL;
    bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)tr_plan_bytes());
    if (!bytes)
        return NULL;
    gil = PyEval_SaveThread();
    code = tr_plan_create(workers, &options, (tr_plan *)(void *)PyBytes_AsString(bytes));
    PyEval_RestoreThread(gil);
    if (!code)
        return bytes;
    Py_DECREF(bytes);
    return raise_code(PyModule_GetState(module), code, "plan");
}

/* Bytes have no alignment of their own, so the plan is copied. Free it with PyMem_Free(). */
static tr_plan *plan_from(PyObject *bytes)
{
    tr_plan *plan;
    char *data;
    Py_ssize_t length;

    if (PyBytes_AsStringAndSize(bytes, &data, &length) < 0)
        return NULL;
    if ((size_t)length != tr_plan_bytes()) {
        PyErr_SetString(PyExc_ValueError, "not a plan");
        return NULL;
    }
    plan = PyMem_Malloc(tr_plan_bytes());
    if (!plan) {
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(plan, data, (size_t)length);
    return plan;
}

static PyObject *plan_text(PyObject *module, PyObject *bytes)
{
    tr_plan *plan = plan_from(bytes);
    size_t needed = 0;
    char *text = NULL;
    PyObject *result = NULL;
    int code;

    if (!plan)
        return NULL;
    code = tr_plan_text(plan, NULL, 0, &needed);
    if (!code) {
        text = PyMem_Malloc(needed);
        code = text ? tr_plan_text(plan, text, needed, NULL) : TR_ENOMEM;
    }
    if (!code)
        result = PyUnicode_FromString(text);
    else
        raise_code(PyModule_GetState(module), code, "plan");
    PyMem_Free(text);
    PyMem_Free(plan);
    return result;
}

static PyObject *cpus_of(const tr_cpuset *set)
{
    PyObject *cpus = PyList_New(0);

    for (long i = 0; cpus && i < TR_MAX_CPUS; i++) {
        if (set->bits[i / 64] >> (i % 64) & 1) {
            PyObject *number = PyLong_FromLong(i);

            if (!number || PyList_Append(cpus, number) < 0)
                Py_CLEAR(cpus);
            Py_XDECREF(number);
        }
    }
    return cpus;
}

static PyObject *list_workers(const tr_plan_worker *workers, size_t count)
{
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list && i < count; i++) {
        const tr_plan_worker *worker = &workers[i];
        PyObject *row = Py_BuildValue("{sN sI sI sI}", "cpus", cpus_of(&worker->cpus),
                                      "cores", worker->cores, "threads", worker->threads,
                                      "flags", worker->flags);

        if (!row || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *plan_workers(PyObject *module, PyObject *bytes)
{
    tr_plan *plan = plan_from(bytes);
    tr_plan_worker *workers;
    PyObject *list = NULL;
    size_t count;
    int code;

    if (!plan)
        return NULL;
    workers = PyMem_Calloc(TR_MAX_WORKERS, sizeof(*workers));
    code = workers
               ? tr_plan_workers(plan, workers, sizeof(*workers), TR_MAX_WORKERS, &count)
               : TR_ENOMEM;
    if (code)
        raise_code(PyModule_GetState(module), code, "plan");
    else
        list = list_workers(workers, count);
    PyMem_Free(workers);
    PyMem_Free(plan);
    return list;
}

static PyObject *libraries_of(const tr_worker_report *report)
{
    PyObject *list = PyList_New(0);

    for (uint32_t i = 0; list && i < report->library_count && i < TR_REPORT_LIBRARIES;
         i++) {
        const tr_thread_library *library = &report->libraries[i];
        PyObject *row = Py_BuildValue(
            "{ss ss si si sI}", "kind", library->kind, "path", library->path, "before",
            (int)library->before, "after", (int)library->after, "scope", library->scope);

        if (!row || PyList_Append(list, row) < 0)
            Py_CLEAR(list);
        Py_XDECREF(row);
    }
    return list;
}

static PyObject *worker_enter(PyObject *module, PyObject *args)
{
    tr_worker_report *report;
    tr_plan *plan;
    PyObject *bytes, *result = NULL;
    unsigned int index, flags;
    int code;

    if (!PyArg_ParseTuple(args, "OO&I:worker_enter", &bytes, to_u32, &index, &flags))
        return NULL;
    plan = plan_from(bytes);
    if (!plan)
        return NULL;
    report = PyMem_Calloc(1, sizeof(*report));
    if (report) {
        *report = (tr_worker_report)TR_WORKER_REPORT_INIT;
        code = tr_worker_enter(plan, index, flags, report);
        if (code)
            raise_code(PyModule_GetState(module), code, "worker_enter");
        else
            result = Py_BuildValue(
                "{sI sI sI si sN sN sN}", "index", report->index, "threads",
                report->threads, "tasks", report->tasks, "bind_error",
                (int)report->bind_error, "before", cpus_of(&report->before), "after",
                cpus_of(&report->after), "libraries", libraries_of(report));
    } else {
        PyErr_NoMemory();
    }
    PyMem_Free(report);
    PyMem_Free(plan);
    return result;
}

static PyObject *thread_enter(PyObject *module, PyObject *unused)
{
    int code = tr_worker_thread_enter();

    (void)unused;
    if (code)
        return raise_code(PyModule_GetState(module), code, "thread_enter");
    Py_RETURN_NONE;
}

static PyObject *worker_leave(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    tr_worker_leave();
    Py_RETURN_NONE;
}

static PyObject *prefork(PyObject *module, PyObject *unused)
{
    uint32_t paused = 0;
    int code = tr_worker_prefork(&paused);

    (void)unused;
    if (code)
        return raise_code(PyModule_GetState(module), code, "prefork");
    return PyLong_FromUnsignedLong(paused);
}

PyMethodDef plan_methods[] = {
    {"plan", make_plan, METH_VARARGS,
     "plan($module, workers, policy, flags, reserve_cores, cores_per_worker, /)\n--\n\n"
     "A plan, as bytes."},
    {"plan_text", plan_text, METH_O,
     "plan_text($module, plan, /)\n--\n\nA plan as a picture in text."},
    {"plan_workers", plan_workers, METH_O,
     "plan_workers($module, plan, /)\n--\n\nThe part of each worker."},
    {"worker_enter", worker_enter, METH_VARARGS,
     "worker_enter($module, plan, index, flags, /)\n--\n\nBecome a worker of a plan."},
    {"worker_leave", worker_leave, METH_NOARGS,
     "worker_leave($module, /)\n--\n\nPut back what worker_enter() changed."},
    {"thread_enter", thread_enter, METH_NOARGS,
     "thread_enter($module, /)\n--\n\nGive this thread the worker's thread count."},
    {"prefork", prefork, METH_NOARGS,
     "prefork($module, /)\n--\n\nLet OpenMP runtimes give up their threads before a "
     "fork."},
    {NULL, NULL, 0, NULL},
};
