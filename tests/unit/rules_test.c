/* SPDX-License-Identifier: MIT */
/* The one rule for arguments (base.h), over every public call: each row of rules/rows_*.h is
 * called with one argument that is wrong and all others right.
 *
 *  ROW(function, what it returns then, "argument:kind ...", the call)
 *
 * A kind that ends in "?" may be NULL. tests/lint/contract.sh wants a row for each function
 * that src/tensoring.map exports. */
#include "rules/bridge.h"
#include "support.h"

#include <inttypes.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "src/base/error.h"
#include "src/workers/plan_bytes.h"

#define MAX_ARGS 8
#define SCRATCH  (512 * 1024) /* more than a tr_plan */
#define UNKNOWN  (UINT64_C(1) << 31)

union arg {
    void *p;
    int64_t i;
    uint64_t u;
};

enum returns {
    CODE,      /* TR_EINVAL, and why */
    ZERO,      /* 0 or NULL */
    MINUS_ONE, /* a descriptor, or TR_PLAN_UNKNOWN */
    NOTHING,   /* void */
    ANY        /* it has no wrong argument, or says so in words of its own */
};

#define P(n) a[n].p
#define I(n) a[n].i
#define U(n) a[n].u
#define ROW(function, returns, args, call)              \
    static int64_t call_##function(const union arg a[]) \
    {                                                   \
        (void)a;                                        \
        return call;                                    \
    }
#include "rules/rows_arena.h"
#include "rules/rows_channels.h"
#include "rules/rows_message.h"
#include "rules/rows_workers.h"
#undef ROW

struct row {
    const char *name;
    enum returns returns;
    const char *args;
    int64_t (*call)(const union arg a[]);
};

static const struct row rows[] = {
#define ROW(function, returns, args, call) {#function, returns, args, call_##function},
#include "rules/rows_arena.h"
#include "rules/rows_channels.h"
#include "rules/rows_message.h"
#include "rules/rows_workers.h"
#undef ROW
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* ---- what the arguments are taken from ---- */

struct things {
    tr_arena *arena;
    tr_queue *queue;
    tr_broadcast *broadcast;
    tr_subscription *subscription;
    tr_board *board;
    tr_board_watch *watch;
    tr_waitset *set;
    tr_loader *loader;
    tr_look *look;
    tr_pool *pool;
    tr_bridge *bridge;
    tr_message *message, *request;
};

static struct things good;
static tr_arena *named;      /* that of bridge */
static struct things stale;  /* each was closed */
static struct things orphan; /* their arena was closed */
static tr_plan plan;
static unsigned char scratch[MAX_ARGS][SCRATCH];

/* The calls that only a worker of a pool can make. The result is its exit code. */
static int work(tr_pool_worker *worker, void *context)
{
    tr_message *message;

    (void)context;
    if (tr_pool_worker_receive(worker, NULL, TR_NOWAIT, &message) != TR_EINVAL)
        return 1;
    if (tr_pool_worker_receive(worker, stale.queue, TR_NOWAIT, &message) != TR_EINVAL)
        return 2;
    if (tr_pool_worker_receive(worker, good.queue, TR_NOWAIT, NULL) != TR_EINVAL)
        return 3;
    if (tr_pool_worker_receive(worker, good.queue, -2, &message) != TR_EINVAL)
        return 4;
    while (tr_pool_worker_receive(worker, good.queue, TR_FOREVER, &message) == 0)
        tr_message_release(message);
    return 0;
}

static void died(const tr_pool_death *death, void *context)
{
    int *worst = context;

    if (death->exit_code)
        *worst = death->exit_code;
}

static int worst_exit;

static tr_pool *start_pool(void)
{
    tr_pool_options options = TR_POOL_OPTIONS_INIT;
    tr_pool *pool;

    options.workers = 1;
    options.flags = TR_POOL_NO_PLAN;
    options.restart = TR_RESTART_NEVER;
    options.run = work;
    options.died = died;
    options.context = &worst_exit;
    assert_ok(tr_pool_start(&options, &pool));
    return pool;
}

/* It joins at its first call that is right: a change that is not ours. */
static void await_worker(void)
{
    while (stats_of(good.arena).participants < 2 && worst_exit == 0)
        (void)!tr_pool_step(good.pool, 1000000);
    assert_int_equal(worst_exit, 0);
}

static tr_message *take_request(struct things *things)
{
    tr_message *request;
    uint64_t ticket;

    assert_ok(tr_request_send(things->queue, loan_i64(things->arena, 1, 1), TR_NOWAIT,
                              TR_NOWAIT, 0, &ticket));
    assert_ok(tr_queue_receive(things->queue, TR_NOWAIT, &request));
    return request;
}

static void open_things(struct things *things)
{
    tr_arena *arena = things->arena = make_arena(16, 1);
    tr_arena_info info = {.struct_size = sizeof(info)};

    assert_ok(tr_queue_open(arena, "queue", NULL, &things->queue));
    assert_ok(tr_broadcast_open(arena, "broadcast", NULL, &things->broadcast));
    assert_ok(tr_subscription_open(things->broadcast, NULL, &things->subscription));
    assert_ok(tr_board_open(arena, "board", NULL, &things->board));
    assert_ok(
        tr_board_watch_open(things->board, "key", TR_BOARD_NO_VERSION, &things->watch));
    assert_ok(tr_waitset_open(arena, &things->set));
    assert_ok(tr_loader_open(arena, NULL, &things->loader));
    assert_ok(tr_arena_info_get(arena, &info));
    assert_ok(tr_look_open_fd(info.fd, &things->look));
    things->message = loan_i64(arena, 1, 1);
    things->request = take_request(things);
}

static void close_opened(struct things *things)
{
    tr_look_close(things->look);
    tr_loader_close(things->loader);
    tr_waitset_close(things->set);
    tr_board_watch_close(things->watch);
    tr_board_close(things->board);
    tr_subscription_close(things->subscription);
    tr_broadcast_close(things->broadcast);
    tr_queue_close(things->queue);
}

static void make_plan(void)
{
    plan.magic = PLAN_MAGIC;
    plan.size = sizeof(plan);
    plan.workers = 1;
    plan.worker[0].threads = 1;
}

static int open_all(void **state)
{
    (void)state;
    make_plan();
    open_things(&stale);
    tr_message_release(stale.message);
    tr_message_release(stale.request);
    close_opened(&stale);
    tr_arena_close(stale.arena);
    stale.pool = start_pool();
    tr_pool_close(stale.pool);
    stale.bridge = start_bridge();
    end_bridge(stale.bridge);
    open_things(&orphan);
    tr_arena_close(orphan.arena);
    open_things(&good);
    good.pool = start_pool();
    await_worker();
    good.bridge = start_bridge();
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    close_opened(&orphan);
    assert_ok(tr_pool_stop(good.pool, TR_FOREVER));
    tr_pool_close(good.pool);
    end_bridge(good.bridge);
    tr_message_release(good.message);
    tr_message_release(good.request);
    close_opened(&good);
    tr_arena_close(good.arena);
    return 0;
}

/* ---- the kinds of arguments ---- */

static const struct handle_kind {
    const char *kind;
    size_t at;
} handle_kinds[] = {
#define HANDLE(member)                           \
    {                                            \
#member, offsetof(struct things, member) \
    }
    HANDLE(arena),   HANDLE(queue), HANDLE(broadcast), HANDLE(subscription),
    HANDLE(board),   HANDLE(watch), HANDLE(set),       HANDLE(loader),
    HANDLE(look),    HANDLE(pool),  HANDLE(bridge),    HANDLE(message),
    HANDLE(request),
#undef HANDLE
};

static bool find_handle(const char *kind, const struct things *things, void **value)
{
    for (size_t i = 0; i < sizeof(handle_kinds) / sizeof(handle_kinds[0]); i++)
        if (strcmp(handle_kinds[i].kind, kind) == 0) {
            memcpy(value, (const char *)things + handle_kinds[i].at, sizeof(*value));
            return true;
        }
    return false;
}

#include "rules/kinds.h"

struct argument {
    char name[32], kind[32];
    bool optional, pointer;
};

static bool is_kind(const struct argument *arg, const char *kind)
{
    return strcmp(arg->kind, kind) == 0;
}

/* A good value, in @p place if it needs one. */
static union arg good_value(struct argument *arg, unsigned char *place)
{
    const struct sized *sized = find_struct(arg->kind);
    union arg value = {.p = place};

    arg->pointer = true;
    memset(place, 0, SCRATCH);
    if (sized)
        memcpy(place, sized->defaults, sized->size);
    else if (is_kind(arg, "tensor"))
        value.p = (void *)(uintptr_t)tr_message_tensor(good.message, 0);
    else if (!is_kind(arg, "out") && !find_handle(arg->kind, &good, &value.p)) {
        size_t i = 0;

        while (i < sizeof(values) / sizeof(values[0]) && !is_kind(arg, values[i].kind))
            i++;
        assert_true(i < sizeof(values) / sizeof(values[0]));
        arg->pointer = values[i].p || is_kind(arg, "worker");
        if (values[i].p)
            value.p = (void *)(uintptr_t)values[i].p;
        else
            value.i = values[i].i;
    }
    return value;
}

static size_t parse(const char *text, struct argument args[], union arg given[])
{
    size_t n = 0;
    int used;

    while (sscanf(text, " %31[^:]:%31[a-z_]%n", args[n].name, args[n].kind, &used) == 2) {
        text += used;
        args[n].optional = *text == '?';
        text += args[n].optional;
        given[n] = good_value(&args[n], scratch[n]);
        n++;
    }
    assert_int_equal(*text, 0);
    return n;
}

/* ---- one call ---- */

/* What nothing of this may change. */
struct counts {
    tr_stats stats;
    int descriptors;
};

static struct counts count(void)
{
    struct counts counts = {.stats = stats_of(good.arena), .descriptors = descriptors()};

    return counts;
}

static bool same_slots(const tr_stats *a, const tr_stats *b)
{
    return a->slots_free == b->slots_free && a->slots_loaned == b->slots_loaned &&
           a->slots_queued == b->slots_queued && a->slots_orphaned == b->slots_orphaned &&
           a->slots_received == b->slots_received && a->slots_kept == b->slots_kept &&
           a->slots_board == b->slots_board && a->slots_pinned == b->slots_pinned &&
           a->participants == b->participants && a->channels == b->channels;
}

static void assert_same(const struct row *row, const char *what,
                        const struct counts *before)
{
    struct counts after = count();

    if (after.descriptors != before->descriptors)
        fail_msg("%s(%s): %d descriptors, %d before", row->name, what, after.descriptors,
                 before->descriptors);
    if (!same_slots(&after.stats, &before->stats))
        fail_msg("%s(%s): slots have changed hands", row->name, what);
}

static unsigned faults;

#define FAULT(...)                                             \
    do {                                                       \
        faults++;                                              \
        print_error(__VA_ARGS__);                              \
        print_error(" (detail: \"%s\")\n", tr_error_detail()); \
    } while (0)

/* Call it, and look at what it says. @p part: of the sentence; NULL: any will do. */
static void try(const struct row *row, const union arg given[], const char *what,
                const char *name, const char *part)
{
    struct counts before = count();
    int64_t result;

    tr_fail(0, "%s", "");
    result = row->call(given);
    switch (row->returns) {
    case CODE:
        if (result != TR_EINVAL)
            FAULT("%s(%s) returns %s", row->name, what,
                  result ? tr_error_name((int)result) : "0");
        else if (!strstr(tr_error_detail(), name) || !strstr(tr_error_detail(), part))
            FAULT("%s(%s) does not say \"%s\" and \"%s\"", row->name, what, name, part);
        break;
    case ZERO:
        if (result != 0)
            FAULT("%s(%s) returns %ld", row->name, what, (long)result);
        break;
    case MINUS_ONE:
        if (result != -1)
            FAULT("%s(%s) returns %ld", row->name, what, (long)result);
        break;
    default:
        break;
    }
    assert_same(row, what, &before);
}

static void each(void (*check)(const struct row *row, const struct argument *arg,
                               union arg given[], size_t i))
{
    faults = 0;
    for (size_t r = 0; r < ROWS; r++) {
        struct argument args[MAX_ARGS];
        union arg given[MAX_ARGS], now[MAX_ARGS];
        size_t n = parse(rows[r].args, args, given);
        bool in_worker = n && is_kind(&args[0], "worker");

        for (size_t i = 0; i < n; i++) {
            memcpy(now, given, sizeof(now));
            if (i == 0 || !in_worker) /* see work() */
                check(&rows[r], &args[i], now, i);
        }
    }
    assert_int_equal(faults, 0);
}

static const char *word_of(const struct argument *arg)
{
    return is_kind(arg, "set")                                  ? "wait set"
           : is_kind(arg, "request") || is_kind(arg, "message") ? "message"
                                                                : arg->name;
}

static void check_null(const struct row *row, const struct argument *arg,
                       union arg given[], size_t i)
{
    char what[64];

    if (!arg->pointer || arg->optional)
        return;
    snprintf(what, sizeof(what), "%s: NULL", arg->name);
    given[i].p = NULL;
    try(row, given, what, word_of(arg), "NULL");
}

static void check_stale(const struct row *row, const struct argument *arg,
                        union arg given[], size_t i)
{
    char what[64];

    if (!find_handle(arg->kind, &stale, &given[i].p))
        return;
    snprintf(what, sizeof(what), "%s: closed", arg->name);
    try(row, given, what, word_of(arg), "closed");
    if (!find_handle(arg->kind, &orphan, &given[i].p) || is_kind(arg, "look") ||
        is_kind(arg, "pool") || is_kind(arg, "bridge"))
        return;
    if (row->returns == NOTHING && strstr(row->name, "close"))
        return; /* it can still be closed */
    if (strcmp(row->name, "tr_subscription_close") == 0 ||
        strcmp(row->name, "tr_board_watch_close") == 0)
        return;
    snprintf(what, sizeof(what), "%s: its arena was closed", arg->name);
    try(row, given, what, word_of(arg), "closed");
}

static void check_timeout(const struct row *row, const struct argument *arg,
                          union arg given[], size_t i)
{
    if (!is_kind(arg, "timeout"))
        return;
    given[i].i = -2;
    try(row, given, "time-out -2", "time-out", "-2");
    given[i].i = INT64_MIN;
    try(row, given, "time-out INT64_MIN", "time-out", "-9223372036854775808");
}

static void check_flags(const struct row *row, const struct argument *arg,
                        union arg given[], size_t i)
{
    if (!is_kind(arg, "flags") && !is_kind(arg, "want"))
        return;
    given[i].u = UNKNOWN;
    try(row, given, "unknown flag", arg->name, "0x80000000");
}

static void put32(void *at, size_t offset, uint32_t value)
{
    memcpy((char *)at + offset, &value, sizeof(value));
}

static void check_sizes(const struct row *row, const struct sized *sized,
                        union arg given[], size_t i)
{
    static const uint32_t wrong[] = {0, 1, 4, 7, 9};
    char what[64];

    for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
        snprintf(what, sizeof(what), "struct_size is %u", wrong[k]);
        put32(given[i].p, 0, wrong[k]);
        try(row, given, what, what, "");
    }
    put32(given[i].p, 0, (uint32_t)sized->size + 8);
    put32(given[i].p, sized->size + 4, 1);
    snprintf(what, sizeof(what), "struct_size is %zu", sized->size + 8);
    try(row, given, what, what, "");
    put32(given[i].p, 0, UINT32_MAX);
    if (sized->result)
        try(row, given, "struct_size UINT32_MAX", "struct_size", "");
    put32(given[i].p, sized->size + 4, 0);
    put32(given[i].p, 0, (uint32_t)sized->size);
}

static void check_struct(const struct row *row, const struct argument *arg,
                         union arg given[], size_t i)
{
    const struct sized *sized = find_struct(arg->kind);

    if (!sized)
        return;
    check_sizes(row, sized, given, i);
    if (sized->flags != NO_FIELD) {
        memcpy(given[i].p, sized->defaults, sized->size);
        put32(given[i].p, sized->flags, UNKNOWN);
        try(row, given, "unknown flags", "", "");
    }
    if (sized->reserved != NO_FIELD) {
        memcpy(given[i].p, sized->defaults, sized->size);
        put32(given[i].p, sized->reserved, 1);
        try(row, given, "reserved", "reserved", "");
    }
}

/* The size of an element of an array for results. */
static void check_element(const struct row *row, const struct argument *arg,
                          union arg given[], size_t i)
{
    const uint64_t wrong[] = {0, 4, 7, 9, given[i].u + 4, UINT64_MAX};
    char what[64];

    if (strcmp(arg->name, "element_bytes") != 0)
        return;
    for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
        snprintf(what, sizeof(what), "element_bytes is %" PRIu64, wrong[k]);
        given[i].u = wrong[k];
        try(row, given, what, what, "");
    }
}

static void elements_are_of_a_known_size(void **state)
{
    (void)state;
    each(check_element);
}

static void null_is_refused(void **state)
{
    (void)state;
    each(check_null);
}

static void closed_handles_are_refused(void **state)
{
    (void)state;
    each(check_stale);
}

static void times_mean_something(void **state)
{
    (void)state;
    each(check_timeout);
}

static void flags_mean_something(void **state)
{
    (void)state;
    each(check_flags);
}

static void structs_are_of_a_known_kind(void **state)
{
    (void)state;
    each(check_struct);
}

static void so_it_is_in_workers(void **state)
{
    (void)state;
    assert_ok(tr_pool_stop(good.pool, TR_FOREVER));
    assert_int_equal(worst_exit, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_is_refused),
        cmocka_unit_test(closed_handles_are_refused),
        cmocka_unit_test(times_mean_something),
        cmocka_unit_test(flags_mean_something),
        cmocka_unit_test(structs_are_of_a_known_kind),
        cmocka_unit_test(elements_are_of_a_known_size),
        cmocka_unit_test(so_it_is_in_workers),
    };

    if (syscall(SYS_pidfd_open, getpid(), 0) < 0)
        return 77; /* an emulator that has not got what pools need */
    return cmocka_run_group_tests(tests, open_all, close_all);
}
