/* SPDX-License-Identifier: MIT */
/* stats.c - what an arena is doing, as dicts. */
#include "core.h"

static int put(PyObject *dict, const char *name, unsigned long long value)
{
    PyObject *number = PyLong_FromUnsignedLongLong(value);
    int code = number ? PyDict_SetItemString(dict, name, number) : -1;

    Py_XDECREF(number);
    return code;
}

static PyObject *totals(const tr_stats *stats)
{
    PyObject *dict = PyDict_New();

    if (!dict)
        return NULL;
#define PUT(name)          put(dict, #name, stats->name) < 0
#define OR_PUT(name, text) || PUT(name)
    if (PUT(participants) || PUT(channels) || PUT(slots) || PUT(slots_free) ||
        PUT(slots_loaned) || PUT(slots_queued) || PUT(slots_received) ||
        PUT(slots_shared) || PUT(slots_orphaned) || PUT(slots_kept) || PUT(slots_board) ||
        PUT(slots_pinned) || PUT(slots_retired) TR_COUNTERS(OR_PUT))
        Py_CLEAR(dict);
#undef OR_PUT
#undef PUT
    return dict;
}

PyObject *arena_stats(PyObject *object, PyObject *unused)
{
    Shared *shared = shared_of(object);
    tr_stats stats = TR_STATS_INIT;
    int code;

    (void)unused;
    if (!shared)
        return NULL;
    code = tr_stats_get(shared->arena, &stats);
    if (code)
        return raise_code(((ArenaObject *)object)->state, code, "stats");
    return totals(&stats);
}

static PyObject *participant(const void *found)
{
    const tr_participant_stats *one = found;
    char state[2] = {(char)one->state, 0};

    return Py_BuildValue(
        "{sI sI sI sI sO sI sI sI sK sK sK sK sK sK sO ss sN sN}", "index", one->index,
        "incarnation", one->incarnation, "pid", one->pid, "uid", one->uid, "alive",
        one->alive ? Py_True : Py_False, "loaned", one->loaned, "received", one->received,
        "pinned", one->pinned, "held_bytes", (unsigned long long)one->held_bytes,
        "start_time", (unsigned long long)one->start_time, "pinned_bytes",
        (unsigned long long)one->pinned_bytes, "pid_ns", (unsigned long long)one->pid_ns,
        "joined_ns", (unsigned long long)one->joined_ns, "oldest_ns",
        (unsigned long long)one->oldest_ns, "foreign", one->foreign ? Py_True : Py_False,
        "state", state, "command", text_from(one->command), "channel",
        text_from(one->channel));
}

/* The number of a participant, or None. */
static PyObject *laggard(void *channel)
{
    const tr_channel_stats *one = channel;

    if (one->behind)
        return PyLong_FromUnsignedLong(one->laggard);
    Py_RETURN_NONE;
}

static PyObject *size(const void *found)
{
    const tr_class_stats *one = found;

    return Py_BuildValue("{sK sI sO sI sI sI sI sI sI sI sI sI}", "slot_bytes",
                         (unsigned long long)one->slot_bytes, "slots", one->slots,
                         "waiting", one->waiting ? Py_True : Py_False, "free", one->free,
                         "loaned", one->loaned, "queued", one->queued, "received",
                         one->received, "orphaned", one->orphaned, "kept", one->kept,
                         "board", one->board, "pinned", one->pinned, "retired",
                         one->retired);
}

static PyObject *channel(const void *found)
{
    const tr_channel_stats *one = found;
    static const char *const kinds[] = {"none", "queue", "broadcast", "board"};

    return Py_BuildValue(
        "{sN ss sI sK sK sK sI sI sO sO sK sO&}", "name", text_from(one->name), "kind",
        one->kind < 4 ? kinds[one->kind] : "unknown", "capacity", one->capacity, "depth",
        (unsigned long long)one->depth, "sent", (unsigned long long)one->sent, "received",
        (unsigned long long)one->received, "orphans", one->orphans, "receivers",
        one->receivers, "sleeping_receivers",
        one->sleeping_receivers ? Py_True : Py_False, "sleeping_senders",
        one->sleeping_senders ? Py_True : Py_False, "behind",
        (unsigned long long)one->behind, "laggard", laggard, one);
}

static int append(PyObject *list, PyObject *item)
{
    int code = item ? PyList_Append(list, item) : -1;

    Py_XDECREF(item);
    return code;
}

/* A list of what @p make gives for each of @p n structures of @p size bytes. */
static PyObject *list_of(const void *found, size_t n, size_t size,
                         PyObject *(*make)(const void *one))
{
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list && i < n; i++)
        if (append(list, make((const char *)found + i * size)) < 0)
            Py_CLEAR(list);
    return list;
}

#define LIST_OF(found, n, make) list_of(found, n, sizeof(*(found)), make)

PyObject *arena_sizes(PyObject *object, PyObject *unused)
{
    Shared *shared = shared_of(object);
    tr_class_stats found[TR_MAX_CLASSES];
    size_t n = 0;
    int code;

    (void)unused;
    if (!shared)
        return NULL;
    code = tr_stats_classes(shared->arena, found, sizeof(tr_class_stats), TR_MAX_CLASSES,
                            &n);
    return code ? raise_code(((ArenaObject *)object)->state, code, "stats")
                : LIST_OF(found, n, size);
}

PyObject *arena_participants(PyObject *object, PyObject *unused)
{
    Shared *shared = shared_of(object);
    tr_participant_stats *found;
    size_t n = 0;
    PyObject *list;
    int code;

    (void)unused;
    if (!shared)
        return NULL;
    found = PyMem_Calloc(TR_MAX_PARTICIPANTS, sizeof(*found));
    if (!found)
        return PyErr_NoMemory();
    code = tr_stats_participants(shared->arena, found, sizeof(tr_participant_stats),
                                 TR_MAX_PARTICIPANTS, &n);
    list = code ? raise_code(((ArenaObject *)object)->state, code, "stats")
                : LIST_OF(found, n, participant);
    PyMem_Free(found);
    return list;
}

PyObject *arena_channels(PyObject *object, PyObject *unused)
{
    Shared *shared = shared_of(object);
    tr_channel_stats *found;
    size_t n = 0;
    PyObject *list;
    int code;

    (void)unused;
    if (!shared)
        return NULL;
    found = PyMem_Calloc(TR_MAX_CHANNELS, sizeof(*found));
    if (!found)
        return PyErr_NoMemory();
    code = tr_stats_channels(shared->arena, found, sizeof(tr_channel_stats),
                             TR_MAX_CHANNELS, &n);
    list = code ? raise_code(((ArenaObject *)object)->state, code, "stats")
                : LIST_OF(found, n, channel);
    PyMem_Free(found);
    return list;
}

/* Room for all that a look finds: too large for the stack. */
struct found {
    tr_stats stats;
    tr_participant_stats person[TR_MAX_PARTICIPANTS];
    tr_channel_stats channel[TR_MAX_CHANNELS];
    tr_class_stats size[TR_MAX_CLASSES];
    size_t people, channels, sizes;
    tr_look *look; /* for histograms; NULL: there is none */
};

static int look_at(const char *name, int fd, struct found *found)
{
    int code = name ? tr_look_open(name, &found->look)
                    : tr_look_open_fd(fd, &found->look);

    if (code)
        return code;
    found->stats.struct_size = sizeof(found->stats);
    code = tr_look_stats(found->look, &found->stats);
    if (!code)
        code = tr_look_participants(found->look, found->person,
                                    sizeof(tr_participant_stats), TR_MAX_PARTICIPANTS,
                                    &found->people);
    if (!code)
        code = tr_look_channels(found->look, found->channel, sizeof(tr_channel_stats),
                                TR_MAX_CHANNELS, &found->channels);
    if (!code)
        code = tr_look_classes(found->look, found->size, sizeof(tr_class_stats),
                               TR_MAX_CLASSES, &found->sizes);
    return code;
}

static int read_there(void *look, const char *name, uint32_t kind, tr_histogram *found)
{
    return tr_look_histogram(look, name, kind, found);
}

/* What the channels have counted, in their order. */
static PyObject *counted(const struct found *found)
{
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list && i < found->channels; i++)
        if (append(list, histograms_of(read_there, found->look, found->channel[i].name)) <
            0)
            Py_CLEAR(list);
    return list;
}

PyObject *core_look(PyObject *module, PyObject *args)
{
    struct found *found;
    const char *name;
    PyThreadState *gil;
    PyObject *result = NULL;
    int fd, code;

    if (!PyArg_ParseTuple(args, "zi:look", &name, &fd))
        return NULL;
    found = PyMem_Calloc(1, sizeof(*found));
    if (!found)
        return PyErr_NoMemory();
    gil = PyEval_SaveThread();
    code = look_at(name, fd, found);
    PyEval_RestoreThread(gil);
    if (code)
        raise_code(PyModule_GetState(module), code, "look");
    else
        result = Py_BuildValue("(NNNNN)", totals(&found->stats),
                               LIST_OF(found->person, found->people, participant),
                               LIST_OF(found->channel, found->channels, channel),
                               LIST_OF(found->size, found->sizes, size), counted(found));
    tr_look_close(found->look);
    PyMem_Free(found);
    return result;
}
