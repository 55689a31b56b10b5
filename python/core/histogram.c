/* SPDX-License-Identifier: MIT */
/* histogram.c - what the queues of an arena have counted, as lists. */
#include "core.h"

static const uint32_t kinds[] = {TR_HISTOGRAM_WAIT, TR_HISTOGRAM_SERVICE,
                                 TR_HISTOGRAM_BATCH};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* The largest value of each bucket that has some, and how many. */
static PyObject *buckets(const tr_histogram *found)
{
    PyObject *list = PyList_New(0);

    for (uint32_t i = 0; list && i < TR_HISTOGRAM_BUCKETS; i++) {
        PyObject *pair;
        int code;

        if (!found->buckets[i])
            continue;
        pair = Py_BuildValue("(KK)", (unsigned long long)tr_histogram_bound(found, i),
                             (unsigned long long)found->buckets[i]);
        code = pair ? PyList_Append(list, pair) : -1;
        Py_XDECREF(pair);
        if (code < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* {"count", "sum", "buckets"}; with NULL and no exception: the queue counts nothing. */
static PyObject *one(read_histogram *read, void *from, const char *name, uint32_t kind)
{
    tr_histogram found = TR_HISTOGRAM_INIT;

    if (read(from, name, kind, &found))
        return NULL;
    return Py_BuildValue("{sK sK sN}", "count", (unsigned long long)found.count, "sum",
                         (unsigned long long)found.sum, "buckets", buckets(&found));
}

PyObject *histograms_of(read_histogram *read, void *from, const char *name)
{
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list && i < KINDS; i++) {
        PyObject *next = one(read, from, name, kinds[i]);
        int code;

        if (!next && !PyErr_Occurred())
            break; /* none of the others, either */
        code = next ? PyList_Append(list, next) : -1;
        Py_XDECREF(next);
        if (code < 0)
            Py_CLEAR(list);
    }
    return list;
}

static int read_here(void *arena, const char *name, uint32_t kind, tr_histogram *found)
{
    return tr_stats_histogram(arena, name, kind, found);
}

/* _histograms(name) -> a list with one of each kind; [] if the queue counts nothing. */
PyObject *arena_histograms(PyObject *object, PyObject *name)
{
    Shared *shared = shared_of(object);
    const char *text = shared ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;

    return text ? histograms_of(read_here, shared->arena, text) : NULL;
}
