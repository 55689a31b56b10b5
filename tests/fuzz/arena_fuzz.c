/* SPDX-License-Identifier: MIT */
/* arena_fuzz.c - a process overwrites any part of an arena: while it is used, or over the
 * control block before somebody attaches. An error or a right answer is allowed; what a
 * message points to must lie in the arena's payloads.
 *
 * Input: one byte mode, then commands. 0-99: scribble {where: 3 bytes, what: 1-8 bytes}; the
 * rest: use it. */
#include <string.h>

#include <tensoring/tensoring.h>

#include "ipc/exchange/owned.h"
#include "src/arena/arena.h"
#include "tests/fuzz/fuzz.h"

#define SLOTS       6
#define ATTACH_FLAG 1

struct input {
    const uint8_t *at;
    size_t left;
};

struct toys {
    tr_arena *arena;
    tr_queue *queue;
    tr_broadcast *broadcast;
    tr_subscription *subscription;
    tr_board *board;
    tr_message *held;
};

static uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes && input->left; i++) {
        value = value << 8 | *input->at++;
        input->left--;
    }
    return value;
}

static tr_arena *make_arena(void)
{
    static const tr_slot_class classes[] = {{256, SLOTS}, {4096, 2}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;

    options.classes = classes;
    options.class_count = 2;
    options.max_participants = 3;
    options.max_channels = 4;
    options.ring_bytes = 16384;
    options.pins = 4;
    options.spin_ns = 0;
    HOLDS(tr_arena_create(NULL, &options, &arena) == 0);
    return arena;
}

/* Everything but the payloads matters; they are the user's. */
static void scribble(tr_arena *arena, struct input *input, uint64_t limit)
{
    const struct view *view = &arena_known(arena)->view;
    uint64_t at = take(input, 3) % limit, bytes = 1 + take(input, 1) % 8;

    for (uint64_t i = 0; i < bytes && at + i < limit; i++)
        /* relaxed: a scribbler orders nothing. */
        atomic_store_explicit((_Atomic uint8_t *)(view->base + at + i),
                              (uint8_t)take(input, 1), memory_order_relaxed);
}

/* What a message shows lies where payloads lie. */
static void inspect(const tr_arena *arena, const tr_message *message)
{
    const struct view *view = &arena_known(arena)->view;

    for (size_t i = 0; i < tr_message_count(message); i++) {
        const tr_tensor *tensor = tr_message_tensor(message, i);
        const uint8_t *data = tensor->data;
        uint64_t off = (uint64_t)(data - view->base), sum = 0;

        if (off >= view->geo.total_bytes)
            off = (uint64_t)(data - view->readonly);
        HOLDS(tensor->nbytes == 0 ||
              (off >= view->geo.payload_off && off < view->geo.total_bytes &&
               tensor->nbytes <= view->geo.total_bytes - off));
        for (uint64_t b = 0; b < tensor->nbytes; b++)
            sum += data[b];
        HOLDS(sum <= 255 * tensor->nbytes);
        if (tensor->name)
            HOLDS(strlen(tensor->name) < 65536);
    }
}

static void use_message(struct toys *toys, tr_message *message, int keep)
{
    inspect(toys->arena, message);
    if (keep && !toys->held)
        toys->held = message;
    else
        tr_message_release(message);
}

static tr_message *loan(struct toys *toys)
{
    tr_message *message;

    return tr_message_loan_bytes(toys->arena, 100, TR_NOWAIT, &message) ? NULL : message;
}

static void hand_out(struct toys *toys, uint32_t how)
{
    tr_message *message = loan(toys);
    int code;

    if (!message)
        return;
    memset(tr_message_tensor(message, 0)->data, 1, 100);
    if (how == 0)
        code = tr_queue_send(toys->queue, message, TR_NOWAIT);
    else if (how == 1)
        code = tr_broadcast_publish(toys->broadcast, message, TR_NOWAIT);
    else
        code = tr_board_put(toys->board, "key", message, NULL);
    if (code)
        tr_message_release(message);
}

static void take_in(struct toys *toys, uint32_t how, int keep)
{
    tr_message *message;
    int code;

    if (how == 0)
        code = tr_queue_receive(toys->queue, TR_NOWAIT, &message);
    else if (how == 1)
        code = tr_subscription_receive(toys->subscription, TR_NOWAIT, &message);
    else
        code = tr_board_get(toys->board, "key", &message, NULL);
    if (code == 0)
        use_message(toys, message, keep);
}

/* Or it says why it can't. */
static void look_from_outside(tr_arena *arena)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    tr_stats stats = TR_STATS_INIT;
    tr_participant_stats participants[4];
    tr_channel_stats channels[4];
    tr_class_stats sizes[4];
    tr_look *look;
    size_t count;

    if (tr_arena_info_get(arena, &info) || tr_look_open_fd(info.fd, &look))
        return;
    HOLDS(tr_look_stats(look, &stats) == 0);
    HOLDS(tr_look_info(look, &info) == 0);
    HOLDS(tr_look_participants(look, participants, sizeof(tr_participant_stats), 4,
                               &count) == 0);
    HOLDS(tr_look_channels(look, channels, sizeof(tr_channel_stats), 4, &count) == 0);
    HOLDS(tr_look_classes(look, sizes, sizeof(tr_class_stats), 4, &count) == 0);
    tr_look_close(look);
}

static void look_around(struct toys *toys)
{
    tr_stats stats = TR_STATS_INIT;
    tr_participant_stats participants[4];
    tr_channel_stats channels[4];
    tr_class_stats sizes[4];
    size_t count;

    HOLDS(tr_stats_get(toys->arena, &stats) == 0);
    HOLDS(tr_stats_participants(toys->arena, participants, sizeof(tr_participant_stats),
                                4, &count) == 0);
    HOLDS(tr_stats_channels(toys->arena, channels, sizeof(tr_channel_stats), 4, &count) ==
          0);
    HOLDS(tr_stats_classes(toys->arena, sizes, sizeof(tr_class_stats), 4, &count) == 0);
}

static void forward(struct toys *toys)
{
    if (toys->held && tr_queue_send(toys->queue, toys->held, TR_NOWAIT))
        tr_message_release(toys->held);
    toys->held = NULL;
}

static void open_again(struct toys *toys)
{
    tr_queue *queue;

    if (tr_queue_open(toys->arena, "another", NULL, &queue) == 0)
        tr_queue_close(queue);
}

static void command(struct toys *toys, struct input *input)
{
    uint64_t what = take(input, 1);

    if (what < 100) {
        scribble(toys->arena, input, arena_known(toys->arena)->view.geo.payload_off);
        return;
    }
    switch (what % 10) {
    case 0:
    case 1:
    case 2:
        hand_out(toys, (uint32_t)(what % 10));
        break;
    case 3:
    case 4:
    case 5:
        take_in(toys, (uint32_t)(what % 10 - 3), what >= 200);
        break;
    case 6:
        if (what == 106) /* it copies all tables, which takes its time */
            look_from_outside(toys->arena);
        else
            look_around(toys);
        break;
    case 7:
        (void)!tr_arena_reap(toys->arena, NULL);
        break;
    case 8:
        forward(toys);
        break;
    default:
        open_again(toys);
    }
}

static void use(struct input *input)
{
    struct toys toys = {.arena = make_arena()};
    tr_queue_options queue = TR_QUEUE_OPTIONS_INIT;
    tr_broadcast_options broadcast = TR_BROADCAST_OPTIONS_INIT;
    tr_board_options board = TR_BOARD_OPTIONS_INIT;

    queue.capacity = 3;
    broadcast.capacity = 3;
    broadcast.max_subscribers = 2;
    board.capacity = 4;
    HOLDS(tr_queue_open(toys.arena, "queue", &queue, &toys.queue) == 0);
    HOLDS(tr_broadcast_open(toys.arena, "news", &broadcast, &toys.broadcast) == 0);
    HOLDS(tr_subscription_open(toys.broadcast, NULL, &toys.subscription) == 0);
    HOLDS(tr_board_open(toys.arena, "board", &board, &toys.board) == 0);
    while (input->left)
        command(&toys, input);
    tr_message_release(toys.held);
    tr_subscription_close(toys.subscription);
    tr_board_close(toys.board);
    tr_broadcast_close(toys.broadcast);
    tr_queue_close(toys.queue);
    tr_arena_close(toys.arena);
}

/* Somebody attaches to what is left of it. */
static void attach(struct input *input)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;
    struct toys toys = {0};
    tr_arena *arena = make_arena();

    HOLDS(tr_arena_info_get(arena, &info) == 0);
    while (input->left > 4)
        scribble(arena, input, sizeof(struct control));
    if (tr_arena_attach_fd(info.fd, &toys.arena) == 0) {
        if (tr_queue_open(toys.arena, "queue", NULL, &toys.queue) == 0) {
            hand_out(&toys, 0);
            take_in(&toys, 0, 0);
            tr_queue_close(toys.queue);
        }
        tr_arena_close(toys.arena);
    }
    tr_arena_close(arena);
}

#ifdef TR_ASSERTS
/* A scribbler may well say that our slots are another's. */
static void let_it(const char *sentence)
{
    (void)sentence;
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size < 2048 ? size : 2048};

#ifdef TR_ASSERTS
    owned_hook = let_it;
#endif
    if (take(&input, 1) & ATTACH_FLAG)
        attach(&input);
    else
        use(&input);
    return 0;
}
