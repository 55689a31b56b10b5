/* SPDX-License-Identifier: MIT */
/* core.h - what the files of the extension share.
 *
 *  Shared   one mapping of an arena, counted: the Arena object, its channels and every slot
 *           in use hold it, so that a view outlives Arena.close().
 *  Slot     one message in hand, counted: a Message and its Views hold it; the last one
 *           gives it back.
 *
 * Both counts change under the GIL only. */
#ifndef TENSORING_PYTHON_CORE_H
#define TENSORING_PYTHON_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <string.h>

#include <tensoring/tensoring.h>

/* Python keeps functions in void pointers, which ISO C does not know. */
#pragma GCC diagnostic ignored "-Wpedantic"

#define RAISED      INT32_MIN /* beside the TR_E... codes: a Python exception is set */
#define CLOSED_HERE (INT32_MIN + 1)    /* raised as TR_ECLOSED: close() during the call */
#define NO_WORD     1                  /* beside them, too: the object has no such form */
#define SLICE_NS    INT64_C(100000000) /* the first of a wait, see next_slice() */
#define REUSE_NS    INT64_MIN /* a timeout: fill the message that is given, see encode.c */
#define COPY_NO_GIL 65536     /* bytes; a longer copy lets other threads run */
#define DTYPE_CODES 18
#define DTYPE_SIZES 5 /* 8, 16, 32, 64, 128 bits */

typedef struct State {
    PyTypeObject *arena_type;
    PyTypeObject *queue_type;
    PyTypeObject *broadcast_type;
    PyTypeObject *subscription_type;
    PyTypeObject *board_type;
    PyTypeObject *watch_type;
    PyTypeObject *waitset_type;
    PyTypeObject *wanted_type;
    PyTypeObject *worker_type;
    PyTypeObject *message_type;
    PyTypeObject *view_type;
    PyTypeObject *turn_type;
    PyObject *ndarray; /* numpy.ndarray */
    PyObject *encode;  /* (object, pickle) -> (content, content type, parts), or (object)
                          * -> a pickle and its buffers */
    PyObject *decode;  /* (Message) -> object */
    PyObject *dtype_for; /* (code, bits, lanes, descr) -> numpy.dtype */
    PyObject *error;     /* (code, detail, what) -> exception */
    PyObject *scalars;   /* {type of NumPy's scalars: index in `makers`} */
    PyObject *makers;    /* a tuple of (bytes) -> scalar */
    PyObject *loads;     /* pickle's */
    PyObject *array_struct, *dlpack, *dlpack_args, *fortran, *zero, *metadata;
    PyObject *dtypes[DTYPE_CODES][DTYPE_SIZES]; /* of plain triples */
    bool array_layout_known;                    /* see metadata.c */
} State;

typedef struct Shared {
    tr_arena *arena;
    PyObject *object; /* the Arena object, not counted; NULL once it is closed */
    size_t users;
    bool closed;
    bool pickle;                /* the arena and this handle's opener allow it */
    unsigned int max_expansion; /* of a message that is decoded, times its size */
    struct Keeping *keeping;    /* NULL: what is received is never copied */
} Shared;

typedef struct Slot {
    tr_message *message; /* NULL once it was sent or released */
    Shared *shared;
    size_t users; /* Views, and one for the Message or for the call that makes them */
    size_t views;
    bool copy;          /* nothing may look into it */
    unsigned char kept; /* 1 + the class that it counts in, see keep.c */
    uint64_t bytes;     /* that it counts with there */
} Slot;

typedef struct ArenaObject {
    PyObject head;
    State *state;
    Shared *shared; /* NULL: closed */
} ArenaObject;

/* Naps of receivers or of senders, see nap.c. */
typedef struct Naps {
    bool allowed;
    bool napped;     /* at the last wait */
    uint32_t taken;  /* messages since then, or sent */
    uint64_t passed; /* messages that others received since then */
    uint64_t seen;   /* sequence of the first message after the wait before */
    uint32_t before; /* messages taken between the last two waits */
    uint32_t misses; /* naps that were not worth it, one after the other */
    uint32_t rest;   /* waits until it is tried again */
} Naps;

/* A handle in an arena: a queue, a broadcast, a subscription, a board or a wait set. */
typedef int loan_for(void *handle, const tr_tensor_spec specs[], size_t n,
                     int64_t timeout_ns, tr_message **out);

typedef struct ChannelObject {
    PyObject head;
    State *state;
    Shared *shared;
    void *handle; /* NULL: closed */
    void (*forget)(void *handle);
    loan_for *loan;       /* of a message for it; NULL: it is never shut down */
    PyObject *needs;      /* the holds of the channels that the handle uses, or NULL */
    size_t busy;          /* calls that wait without the GIL, and holds */
    _Atomic bool closing; /* read by calls that wait without the GIL */
    Naps naps;
    Naps room_naps;
    uint64_t most; /* messages that are put without waiting */
} ChannelObject;

/* How long to wait for a slot, and for which channel: what is for a queue or a broadcast is not
 * waited for any longer when that is shut down. NULL: for none. */
typedef struct Patience {
    int64_t timeout_ns;
    ChannelObject *channel;
    PyObject *
        *wanted; /* do not wait: TR_EAGAIN, and what to wait for (wanted.c). NULL: wait */
} Patience;

/* Make a loaned message. */
typedef int maker(State *state, Shared *shared, PyObject *object, Patience patience,
                  tr_message **out);

typedef struct MessageObject {
    PyObject head;
    State *state;
    Slot *slot;
} MessageObject;

typedef struct ViewObject {
    PyObject head;
    State *state;
    Slot *slot;
    size_t index; /* of its tensor: what the message has of it is asked for each time */
} ViewObject;

/* metadata.c */
int learn_array_layout(State *state);
int dtype_has_metadata(State *state, PyObject *array, tr_dtype plain);

/* The beginning of NumPy's PyArrayObject_fields. */
typedef struct ArrayFields {
    PyObject head;
    char *data;
    int nd;
    Py_intptr_t *dimensions, *strides;
    PyObject *base;
    PyObject *descr;
} ArrayFields;

/* Whether the type of an array, a plain one of 8 to 128 bits, is NumPy's own object. */
static inline bool has_usual_dtype(const State *state, PyObject *array, tr_dtype plain)
{
    const ArrayFields *fields = (const void *)array;

    return state->array_layout_known &&
           fields->descr == state->dtypes[plain.code][__builtin_ctz(plain.bits) - 3];
}

/* module.c */
extern struct PyModuleDef core_module;
State *state_of(PyTypeObject *type);
PyObject *raise_code(State *state, int code, const char *what);
int get_timeout(PyObject *seconds, int64_t *timeout_ns);
/* Converters for "O&": a number that does not fit, or is negative, is a ValueError. */
int to_u32(PyObject *number, void *out);
int to_key(PyObject *key, void *out); /* its text, which lives as long */
int to_expected(PyObject *number, void *out);
int to_newer_than(PyObject *number, void *out);
int to_u64(PyObject *number, void *out);
int parse(const char *what, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
          const char *const names[], size_t required, PyObject **values);

/* wait.c: run @p op now, then in slices without the GIL, asking for signals between. @p what
 * tells when it is ready for @p want (TR_WAIT_...); NULL: nothing does. */
typedef int wait_op(void *arg, int64_t timeout_ns);
int64_t now_ns(void);
int64_t next_slice(int64_t slice_ns); /* how long the slice after this one may be */
int wait_in_slices(wait_op *op, void *arg, int64_t timeout_ns, PyObject *what,
                   unsigned int want);

/* For a wait that is no wait_op: let other greenlets of this thread run, at most @p left_ns,
 * until it is worth to look at @p what again, for the time @p turn. 1: they did. 0: there are
 * none, so wait by other means. -1 with an exception. */
int wait_for_greenlets(PyObject *what, unsigned int want, int64_t left_ns,
                       unsigned int turn);

/* Whether other greenlets may run while this thread waits. */
bool has_gevent(void);

/* A greenlet no longer waits for @p wanted, which becomes NULL. The exception that is set stays. */
void greenlets_forget(PyObject **wanted);

/* nap.c: instead of the next wait, or of keeping what there is no room for, after so many
 * naps @p before in the same call; false: it would not pay. */
bool nap(Naps *naps, unsigned int before);
bool nap_for_room(Naps *naps, unsigned int before);

/* constants.c */
int add_constants(PyObject *module);

/* arena.c */
extern PyType_Spec arena_spec;
Shared *shared_take(Shared *shared);
void shared_drop(Shared *shared);
Shared *shared_of(PyObject *arena);

/* plan.c */
extern PyMethodDef plan_methods[];

/* supervisor.c, worker.c */
int add_supervisor(PyObject *module);
extern PyType_Spec worker_spec;
PyObject *worker_new(PyTypeObject *type, tr_pool_worker *worker);
tr_pool_worker *worker_of(PyObject *worker);

/* stats.c */
PyObject *core_look(PyObject *module, PyObject *args);
PyObject *arena_stats(PyObject *arena, PyObject *unused);
PyObject *arena_participants(PyObject *arena, PyObject *unused);
PyObject *arena_channels(PyObject *arena, PyObject *unused);
PyObject *arena_sizes(PyObject *arena, PyObject *unused);
PyObject *arena_histograms(PyObject *arena, PyObject *name);

/* What a queue of @p from has counted: a list with one of each kind; empty: it counts nothing. */
typedef int read_histogram(void *from, const char *name, uint32_t kind,
                           tr_histogram *found);
PyObject *histograms_of(read_histogram *read, void *from, const char *name);

/* slot.c */
PyObject **cached_dtype(State *state, tr_dtype dtype);
Slot *slot_new(Shared *shared, tr_message *message);
void slot_drop(Slot *slot);
PyObject *message_new(State *state, Slot *slot);
PyObject *view_new(State *state, Slot *slot, const tr_tensor *tensor);
PyObject *array_of(State *state, Slot *slot, const tr_tensor *tensor);
PyObject *decode_message(State *state, Shared *shared, tr_message *message);
Slot *slot_to_send(State *state, PyObject *message, Shared *shared, bool even_if_viewed);

/* keep.c */
void keeping_received(Slot *slot);
void keeping_let_go(const Slot *slot);
void keeping_end(Shared *shared);
uint64_t keeping_doubtful(const Shared *shared);
PyObject *queue_doubtful(PyObject *queue, PyObject *unused);
PyObject *queue_keeps(PyObject *queue, PyObject *unused);
PyObject *queue_copy_if_kept(PyObject *queue, PyObject *unused);

/* channel.c: what the handles have in common. */
PyObject *channel_new(PyTypeObject *type, State *state, Shared *shared, void *handle,
                      void (*forget)(void *handle), PyObject *parent);
PyObject *channel_hold(PyObject *channel);
bool channel_is_open(ChannelObject *channel);
void channel_leave(ChannelObject *channel);
void channel_dealloc(PyObject *channel);
PyObject *channel_close(PyObject *channel, PyObject *unused);
PyObject *channel_closed(PyObject *channel, void *unused);
int channel_true(PyObject *channel);
int64_t time_left(int64_t timeout_ns, int64_t since_ns);
/* A message for a channel, as the arena makes one for any. */
/* @p channel, or NULL, with what loans messages for it. */
PyObject *channel_for(PyObject *channel, loan_for *loan);
PyObject *channel_make(PyObject *object, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames, maker *make);
/* A Message of @p value for @p channel; or what to wait for, if no slot is free. */
PyObject *channel_encode_now(PyObject *channel, PyObject *value);
typedef int hand_over(void *handle, tr_message *message, int64_t timeout_ns);
PyObject *channel_send(PyObject *channel, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames, hand_over *hand);
PyObject *channel_send_message(PyObject *channel, PyObject *const *args, Py_ssize_t nargs,
                               PyObject *kwnames, hand_over *hand);
typedef int take_next(void *handle, int64_t timeout_ns, tr_message **out);
PyObject *channel_receive(PyObject *channel, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames, take_next *take, bool decoded);
PyObject *channel_take(PyObject *channel, PyObject *otherwise, take_next *take,
                       bool decoded);

/* request.c */
PyObject *queue_call(PyObject *queue, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames);
PyObject *queue_begin(PyObject *queue, PyObject *args);
PyObject *waitset_reply_next(PyObject *set, PyObject *unused);
PyObject *waitset_cancel(PyObject *set, PyObject *ticket);
PyObject *message_reply(PyObject *message, PyObject *value);
PyObject *message_reply_reusing(PyObject *message, PyObject *value);
PyObject *message_reply_error(PyObject *message, PyObject *args);
PyObject *message_is_request(PyObject *message, void *unused);
PyObject *message_remaining(PyObject *message, void *unused);
PyObject *end_with_parent(PyObject *module, PyObject *unused);
PyObject *end_with(PyObject *module, PyObject *pidfd);
PyObject *remote_code(PyObject *module, PyObject *unused);

/* broadcast.c, board.c, watch.c, waitset.c */
extern PyType_Spec broadcast_spec, subscription_spec, board_spec, watch_spec;
extern PyType_Spec waitset_spec;

/* wanted.c: what a loan needs that found no slot, for those that wait for it in another way. The
 * Arena object must be there. */
extern PyType_Spec wanted_spec;
PyObject *wanted_new(Shared *shared, ChannelObject *channel, const tr_tensor_spec *specs,
                     size_t n);
PyObject *wanted_channel(PyObject *wanted); /* borrowed, or NULL */
int wanted_add(State *state, PyObject *wanted, tr_waitset *set, uint64_t token);

/* view.c, message.c, dlpack.c, queue.c */
extern PyType_Spec view_spec;
extern PyType_Spec turn_spec;
extern PyType_Spec message_spec;
extern PyType_Spec queue_spec;
const tr_tensor *view_tensor(PyObject *view);
PyObject *view_dlpack(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames);
PyObject *view_dlpack_device(PyObject *self, PyObject *unused);

/* source.c: where the bytes of a tensor come from. */
typedef struct Source {
    PyObject *keeper;  /* what keeps `data`, or the rows, alive; or NULL */
    const void **rows; /* of a tensor that comes from many arrays; or NULL */
    Py_buffer buffer;  /* buffer.obj is NULL if unused */
    const void *data;
    bool strided; /* `strides` says how; else packed in the order of the spec */
    tr_tensor_spec spec;
    int64_t shape[TR_MAX_NDIM];
    int64_t strides[TR_MAX_NDIM]; /* bytes */
} Source;

int source_open(State *state, PyObject *from, Source *source);
int too_many_dimensions(long long ndim);
int source_plain_array(State *state, PyObject *array, Source *source);
int source_dlpack(State *state, PyObject *from, Source *source);
int source_rows(State *state, PyObject *list, Source *source);
PyObject *core_like_rows(PyObject *module, PyObject *list);
int source_bytes(PyObject *from, Source *source);
void source_raw(Source *source, const void *data, size_t nbytes);
void source_close(Source *source);

/* arena.c: a Message of what @p make makes, for a channel that is @p patience.channel. */
PyObject *message_made(State *state, Shared *shared, PyObject *object, Patience patience,
                       maker *make);

/* encode.c: @p object as a loaned message, or NULL with an exception. */
int encode_object(State *state, Shared *shared, PyObject *object, Patience patience,
                  tr_message **out);
int encode_parts(State *state, Shared *shared, PyObject *encoded, Patience patience,
                 tr_message **out);
int set_content(tr_message *message, uint32_t content, const char *type, uint64_t id);
/* One message of the items of a list, each opened by @p open. */
typedef int open_one(State *state, PyObject *item, Source *source);
int encode_list(State *state, Shared *shared, PyObject *parts, open_one *open,
                Patience patience, tr_message **out);
int encode_one(Shared *shared, Source *source, Patience patience, tr_message **out);
int loan_and_fill(Shared *shared, const Source *sources, size_t n, Patience patience,
                  tr_message **out);
int loan_described(State *state, Shared *shared, PyObject *list, Patience patience,
                   tr_message **out);

/* A str of a text that another process may have written: what is not UTF-8 is escaped. */
PyObject *text_from(const char *text);

/* tree.c and untree.c: NO_WORD if the tree cannot hold all of @p object. */
int encode_tree(State *state, Shared *shared, PyObject *object, Patience patience,
                tr_message **out);
PyObject *decode_tree(State *state, Slot *slot, bool copy);
/* A tree that is sent later, or None: a snapshot, except its arrays, which are kept. */
PyObject *tree_of(State *state, PyObject *object);
uint64_t tree_bytes(PyObject *tree);
int loan_tree(Shared *shared, PyObject *tree, Patience patience, tr_message **out);

/* carry.c */
int encode_carried(State *state, Shared *shared, PyObject *object, PyObject *dump,
                   uint64_t id, Patience patience, tr_message **out);
int encode_kept(Shared *shared, PyObject *tree, Patience patience, tr_message **out);
PyObject *decode_carried(State *state, Slot *slot, PyObject *load, bool copy);
PyObject *array_or_copy(State *state, Slot *slot, const tr_tensor *tensor, bool copy);
bool is_tree(const tr_header *header);
bool is_pickle(const tr_header *header);
/* A pickle without buffers. */
PyObject *decode_pickle(State *state, Slot *slot);

/* indices.c */
PyObject *private_indices(PyObject *module, PyObject *args);

#endif
