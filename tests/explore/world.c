/* SPDX-License-Identifier: MIT */
/* world.c - a small arena in private memory, and its return to the start. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/exchange/board.h"
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/channel.h"
#include "ipc/exchange/orphan.h"
#include "ipc/exchange/slot.h"
#include "ipc/kernel/os.h"
#include "ipc/liveness/participant.h"
#include "ipc/memory/segment.h"
#include "tests/explore/world.h"

struct world world;

#define WATCHED 256
#define RANGES  32

struct range {
    uint8_t *at;
    size_t bytes, image_off;
};

static const _Atomic uint64_t *watched[WATCHED];
static uint32_t watched_count;
static _Atomic uint64_t *locals[WATCHED];
static uint32_t local_count;
static struct range ranges[RANGES];
static uint32_t range_count;
static uint8_t *image;

void world_watch(const void *word)
{
    if (watched_count == WATCHED)
        abort();
    watched[watched_count++] = (const _Atomic uint64_t *)((uintptr_t)word &
                                                          ~(uintptr_t)7);
}

void world_local(_Atomic uint64_t *word)
{
    if (local_count == WATCHED)
        abort();
    locals[local_count++] = word;
}

uint64_t world_hash(uint64_t hash)
{
    for (uint32_t i = 0; i < local_count; i++)
        hash = hash_mix(hash, shm_get(locals[i]));
    for (uint32_t i = 0; i < watched_count; i++)
        hash = hash_mix(hash, shm_get(watched[i]));
    return hash;
}

static void keep(void *at, size_t bytes)
{
    size_t off = range_count
                     ? ranges[range_count - 1].image_off + ranges[range_count - 1].bytes
                     : 0;

    if (range_count == RANGES)
        abort();
    ranges[range_count++] = (struct range){at, bytes, off};
    image = realloc(image, off + bytes);
    if (!image)
        abort();
    memcpy(image + off, at, bytes);
}

void world_reset(void)
{
    for (uint32_t i = 0; i < range_count; i++)
        memcpy(ranges[i].at, image + ranges[i].image_off, ranges[i].bytes);
    for (uint32_t i = 0; i < local_count; i++)
        shm_put(locals[i], 0);
}

static void fill_slots(void)
{
    for (uint32_t i = 0; i < world.view.geo.slot_count; i++) {
        struct slot_record *record = view_record(&world.view, i);

        shm_put(&record->owner, slot_word(SLOT_FREE, SLOT_NOBODY, 0, 0, 2));
        shm_put(&record->location, LOCATION_NONE);
        shm_put(&record->location_even, LOCATION_NONE);
    }
}

/* Each actor has an entry, except those that are absent, and threads; so has the auditor, unless
 * the scenario is about membership. */
static void fill_entries(const struct scenario *scenario)
{
    for (uint32_t i = 0; i < world.view.geo.participant_count; i++) {
        struct participant *entry = view_participant(&world.view, i);
        bool here = i < world.actor_count
                        ? !(scenario->absent >> i & 1) && !scenario->thread_of[i]
                        : !scenario->absent;

        shm_put(&entry->word,
                participant_word(here ? PARTICIPANT_LIVE : PARTICIPANT_FREE, here));
        shm_put(&entry->pid, 1);
    }
}

static void open_channels(const struct scenario *scenario)
{
    static const char *names[] = {"a", "b", "c"};

    for (uint32_t i = 0; i < scenario->channels && !scenario->unopened; i++) {
        struct channel_spec spec = {
            .name = names[i],
            .kind = CHANNEL_QUEUE,
            .capacity = scenario->capacity,
            .policy = scenario->drop >> i & 1,
            .max_deliveries = scenario->max_deliveries,
            .ring_bytes = UINT64_C(8) * (scenario->capacity + scenario->tickets)};
        const struct broadcast_spec news = {
            .name = names[i], .lag = scenario->capacity - 1, .places = 2, .keep = 1};
        uint32_t index;

        if (scenario->kind == CHANNEL_BROADCAST)
            broadcast_channel_spec(&news, &spec);
        if (scenario->kind == CHANNEL_BOARD)
            board_channel_spec(names[i], scenario->capacity, &spec);

        if (channel_open(&world.auditor, &spec, &index) < 0)
            abort();
        if (scenario->marked && i == 0)
            shm_put(&view_channel(&world.view, index)->orphans,
                    ORPHANS_MARK | ORPHANS_THERE);
    }
}

static void watch_everything(void)
{
    const struct view *view = &world.view;

    world_watch(&view_live(view)->classes[0].freed);
    world_watch(&view_live(view)->monitor_roles);
    if (world.scenario->listen)
        world_watch(&view_live(view)->classes[0].freed_listeners[0]);
    for (uint32_t i = 0; i < view->geo.slot_count; i++) {
        world_watch(&view_record(view, i)->owner);
        world_watch(&view_record(view, i)->location);
        world_watch(&view_record(view, i)->location_even);
    }
    for (uint32_t i = 0; i < view->geo.participant_count; i++) {
        world_watch(&view_participant(view, i)->word);
        if (world.scenario->listen)
            world_watch(&view_participant(view, i)->doorbell);
        for (uint32_t p = 0; p < view->geo.pin_count; p++)
            world_watch(&view_pins(view, i)[p]);
    }
    for (uint32_t i = 0; i < view->geo.channel_count; i++) {
        struct channel *channel = view_channel(view, i);
        uint64_t bytes;
        uint8_t *cells;

        if (CHANNEL_STATE(shm_get(&channel->word)) != CHANNEL_READY)
            continue;
        cells = channel_bytes(view, i, &bytes);
        world_watch(&channel->orphans);
        world_watch(&channel->closed);
        world_watch(&channel->tail);
        world_watch(&channel->head);
        world_watch(&channel->items);
        world_watch(&channel->room);
        if (world.scenario->listen) {
            world_watch(&channel->items_listeners[0]);
            world_watch(&channel->room_listeners[0]);
        }
        for (uint32_t c = 0; c < world.scenario->capacity + world.scenario->tickets &&
                             world.scenario->kind != CHANNEL_BOARD;
             c++)
            world_watch(cells + (size_t)8 * c);
    }
}

void world_make(const struct scenario *scenario)
{
    bool elastic = scenario->memory;
    struct segment_class classes[] = {{ARENA_PAGE, ELASTIC_OTHERS},
                                      {ARENA_PAGE, scenario->slots}};
    struct segment_class class = {64, scenario->slots};
    struct segment_spec spec = {.classes = elastic ? classes : &class,
                                .class_count = elastic ? 2 : 1,
                                .flags = elastic ? SEGMENT_ELASTIC | SEGMENT_LAZY : 0,
                                .memory_bytes = UINT64_C(4096) * scenario->memory,
                                .warm_bytes = UINT64_C(4096) * scenario->warm,
                                .participant_count = world.actor_count + 1,
                                .channel_count = scenario->channels + scenario->spare,
                                .pin_count = scenario->pins ? scenario->pins : 1,
                                .rings_bytes = 4096};
    struct view *view = &world.view;

    watched_count = 0;
    local_count = 0;
    range_count = 0;
    if (segment_plan(&spec, &view->geo) < 0)
        abort();
    view->geo.secret[0] = UINT64_C(0x2545f4914f6cdd1d);
    view->geo.secret[1] = UINT64_C(0x9e3779b97f4a7c15);
    view->base = aligned_alloc(ARENA_PAGE, view->geo.total_bytes);
    if (!view->base)
        abort();
    memset(view->base, 0, view->geo.total_bytes);
    view->readonly = view->base;
    view->lock_fd = -1;
    shm_put(&view_live(view)->checked_ns, (uint64_t)os->now_ns());
    world.auditor = (struct self){.view = view, .who = world.actor_count, .inc = 1};
    if (!elastic)
        fill_slots();
    open_channels(scenario);
    watch_everything();
    fill_entries(scenario);
    if (scenario->build) /* it may free the entries of threads */
        scenario->build(scenario);
    keep(view_live(view),
         sizeof(struct live) -
             sizeof(struct class_words) * (MAX_CLASSES - view->geo.class_count));
    keep(view_participant(view, 0),
         sizeof(struct participant) * view->geo.participant_count);
    keep(view_pins(view, 0), (size_t)view->geo.pin_stride * view->geo.participant_count);
    keep(view_channel(view, 0), sizeof(struct channel) * view->geo.channel_count);
    keep(view->base + view->geo.rings_off, 1024);
    for (uint32_t i = 0; i < view->geo.slot_count; i++)
        keep(view_record(view, i), sizeof(struct slot_record));
}

void world_free(void)
{
    free(world.view.base);
    free(image);
    image = NULL;
    world.view.base = NULL;
}
