/* SPDX-License-Identifier: MIT */
/* keep.c - a process that keeps what it received must not stop the others.
 *
 * In an arena where this is asked for, messages that are received are decoded to views as long
 * as less than half of the slots of their size are in the hands of receivers, and, where the
 * arena has a limit of memory, less than half of that; and to copies from then on. So there is
 * always a slot that comes back, and memory for it.
 *
 * Looking where all slots are is a pass over them. So each look allows this process to keep
 * some more without looking again: its part of what is left of that half. */
#include "core.h"

#define COPIES_UNSEEN 16        /* after a look that found too much kept */
#define TABLE_BYTES   (2 << 20) /* more than that of a message with the most tensors */

struct Keeping {
    size_t classes;
    uint64_t bytes[TR_MAX_CLASSES];
    uint32_t kept[TR_MAX_CLASSES];      /* messages in this process's hands */
    uint32_t allowed[TR_MAX_CLASSES];   /* that many may be kept without a look */
    uint32_t unseen[TR_MAX_CLASSES];    /* copies to be made without a look */
    uint64_t bytes_kept, bytes_allowed; /* the same of their memory */
    uint64_t doubtful;                  /* from here on a message may be too large */
};

/* Less than the largest message by what its table may take. */
static uint64_t doubtful_from(uint64_t slot_bytes, uint64_t memory_bytes)
{
    uint64_t most = memory_bytes && memory_bytes < slot_bytes ? memory_bytes : slot_bytes;

    return most - (most / 2 < TABLE_BYTES ? most / 2 : TABLE_BYTES);
}

/* Keep from now on. */
static int keeping_start(State *state, Shared *shared)
{
    tr_class_stats found[TR_MAX_CLASSES];
    tr_arena_info info = TR_ARENA_INFO_INIT;
    struct Keeping *keeping;
    size_t n = 0;
    int code;

    if (shared->keeping)
        return 0;
    code = tr_stats_classes(shared->arena, found, sizeof(tr_class_stats), TR_MAX_CLASSES,
                            &n);
    if (!code)
        code = tr_arena_info_get(shared->arena, &info);
    if (code) {
        raise_code(state, code, "stats");
        return -1;
    }
    keeping = PyMem_Calloc(1, sizeof(*keeping));
    if (!keeping) {
        PyErr_NoMemory();
        return -1;
    }
    keeping->classes = n;
    for (size_t i = 0; i < n; i++)
        keeping->bytes[i] = found[i].slot_bytes;
    keeping->doubtful = doubtful_from(n ? keeping->bytes[n - 1] : 0, info.memory_bytes);
    keeping->bytes_allowed = info.memory_bytes ? 0 : UINT64_MAX;
    shared->keeping = keeping;
    return 0;
}

static uint64_t bytes_of(tr_message *message)
{
    size_t count = tr_message_count(message);
    uint64_t bytes = 0;

    for (size_t k = 0; k < count; k++)
        bytes += tr_message_tensor(message, k)->nbytes;
    return bytes;
}

/* The smallest class that has room for the message: that is where a loan looks first. */
static size_t class_of(const struct Keeping *keeping, uint64_t bytes)
{
    size_t i = 0;

    while (i + 1 < keeping->classes && keeping->bytes[i] < bytes)
        i++;
    return i;
}

/* How many more of a class all receivers together may keep: half of it, less what they keep. */
static int64_t room_in(tr_arena *arena, size_t at)
{
    tr_class_stats found[TR_MAX_CLASSES];
    size_t n = 0;

    if (tr_stats_classes(arena, found, sizeof(tr_class_stats), TR_MAX_CLASSES, &n) ||
        at >= n)
        return 0;
    return (int64_t)(found[at].slots / 2) - (int64_t)found[at].received;
}

/* The same of the memory. */
static int64_t room_of_memory(tr_arena *arena)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;

    if (tr_arena_info_get(arena, &info))
        return 0;
    return (int64_t)(info.memory_bytes / 2) - (int64_t)info.received_bytes;
}

static uint32_t people_in(tr_arena *arena)
{
    tr_stats stats = TR_STATS_INIT;

    return tr_stats_get(arena, &stats) || !stats.participants ? UINT32_MAX
                                                              : stats.participants;
}

/* Whether all of them keep too much: the one that was just received counts. */
static bool look(Shared *shared, size_t at)
{
    struct Keeping *keeping = shared->keeping;
    bool limited = keeping->bytes_allowed != UINT64_MAX;
    int64_t room = room_in(shared->arena, at);
    int64_t memory = limited ? room_of_memory(shared->arena) : 0;
    uint32_t people;

    if (room < 0 || memory < 0) {
        keeping->unseen[at] = COPIES_UNSEEN;
        return true;
    }
    people = people_in(shared->arena);
    keeping->allowed[at] = keeping->kept[at] + (uint32_t)room / people;
    if (limited)
        keeping->bytes_allowed = keeping->bytes_kept + (uint64_t)memory / people;
    return false;
}

/* A message was received into @p slot: whether it must be copied. */
void keeping_received(Slot *slot)
{
    struct Keeping *keeping = slot->shared->keeping;
    size_t at;

    if (!keeping || !slot->message)
        return;
    slot->bytes = bytes_of(slot->message);
    at = class_of(keeping, slot->bytes);
    slot->kept = (unsigned char)(at + 1);
    keeping->kept[at]++;
    keeping->bytes_kept += slot->bytes;
    if (keeping->kept[at] <= keeping->allowed[at] &&
        keeping->bytes_kept <= keeping->bytes_allowed)
        return;
    if (keeping->unseen[at]) {
        keeping->unseen[at]--;
        slot->copy = true;
    } else {
        slot->copy = look(slot->shared, at);
    }
}

/* The slot is gone. */
void keeping_let_go(const Slot *slot)
{
    struct Keeping *keeping = slot->shared->keeping;

    if (!slot->kept)
        return;
    keeping->kept[slot->kept - 1]--;
    keeping->bytes_kept -= slot->bytes;
}

void keeping_end(Shared *shared)
{
    PyMem_Free(shared->keeping);
}

/* How many messages of the arena this process keeps, for calls that wait. */
PyObject *queue_keeps(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;
    unsigned long kept = 0;

    (void)unused;
    if (!channel_is_open(self))
        return NULL;
    for (size_t i = 0; self->shared->keeping && i < self->shared->keeping->classes; i++)
        kept += self->shared->keeping->kept[i];
    return PyLong_FromUnsignedLong(kept);
}

PyObject *queue_copy_if_kept(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    if (!channel_is_open(self) || keeping_start(self->state, self->shared) < 0)
        return NULL;
    Py_RETURN_NONE;
}

uint64_t keeping_doubtful(const Shared *shared)
{
    return shared->keeping ? shared->keeping->doubtful : UINT64_MAX;
}

/* _doubtful() -> of so many bytes and more a message may be too large for the arena. */
PyObject *queue_doubtful(PyObject *object, PyObject *unused)
{
    ChannelObject *self = (ChannelObject *)object;

    (void)unused;
    return channel_is_open(self)
               ? PyLong_FromUnsignedLongLong(keeping_doubtful(self->shared))
               : NULL;
}
