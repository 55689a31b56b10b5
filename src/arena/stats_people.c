/* SPDX-License-Identifier: MIT */
/* stats_people.c - which process holds what: entries of participants, and what /proc knows. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/exchange/channel.h"
#include "ipc/exchange/records.h"
#include "ipc/exchange/slot.h"
#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/timens.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/liveness/participant.h"
#include "src/arena/stats.h"
#include "src/base/process.h"

/* One participant, while the slots are counted. */
struct person {
    const struct view *view;
    tr_participant_stats *out;
    uint64_t oldest_ns; /* when the oldest stamped message was published, 0: none */
    uint32_t from[MAX_CHANNELS]; /* messages that it received, by channel */
};

static uint64_t slot_bytes(const struct view *view, uint32_t slot)
{
    return view->geo.classes[view_class_of(view, slot)].slot_bytes;
}

static uint64_t published_ns(const struct view *view, uint32_t slot)
{
    struct slot_record *record = view_record(view, slot);

    return shm_get(&record->tensors) & TENSORS_HEAD ? shm_get(&record->published_ns) : 0;
}

static void count_received(struct person *person, uint32_t slot, uint64_t word)
{
    uint32_t channel = stats_channel_of(person->view, slot, word);
    uint64_t sent_ns = published_ns(person->view, slot);

    person->out->received++;
    if (channel < person->view->geo.channel_count)
        person->from[channel]++;
    if (sent_ns && (!person->oldest_ns || sent_ns < person->oldest_ns))
        person->oldest_ns = sent_ns;
}

static void count_held(struct person *person, uint32_t slot, uint64_t word)
{
    switch (SLOT_STATE(word)) {
    case SLOT_LOANED:
    case SLOT_PUTTING:
        person->out->loaned++;
        break;
    case SLOT_RECEIVED:
        count_received(person, slot, word);
        break;
    default:
        return;
    }
    person->out->held_bytes += slot_bytes(person->view, slot);
}

static void count_slots(struct person *person)
{
    const struct view *view = person->view;
    uint32_t inc = person->out->incarnation & 0xfff;

    for (uint32_t slot = records_from(view, 0); slot < view->geo.slot_count;
         slot = records_from(view, slot + 1)) {
        /* relaxed: a report, not a decision. */
        uint64_t word = shm_get(&view_record(view, slot)->owner);

        if (SLOT_WHO(word) == person->out->index && SLOT_INC(word) == inc)
            count_held(person, slot, word);
    }
}

/* A pin that came too late for its message names an earlier use of the slot. */
static void count_pins(struct person *person)
{
    const struct view *view = person->view;
    _Atomic uint64_t *pins = view_pins(view, person->out->index);

    for (uint32_t p = 0; p < view->geo.pin_count; p++) {
        uint64_t pin = shm_get(&pins[p]);
        uint32_t slot = PIN_SLOT(pin);

        if (!pin || slot >= view->geo.slot_count)
            continue;
        person->out->pinned++;
        person->out->pinned_bytes += slot_bytes(view, slot);
    }
}

/* Where most of what it received came from. */
static void name_channel(const struct person *person)
{
    uint32_t most = 0;

    for (uint32_t i = 1; i < person->view->geo.channel_count; i++)
        if (person->from[i] > person->from[most])
            most = i;
    if (person->from[most])
        channel_name(person->view, most, person->out->channel);
}

/* How long ago that was; at least 1, since 0 says that it is not known. */
static uint64_t age_ns(uint64_t then_ns)
{
    uint64_t now_ns = (uint64_t)os->now_ns();

    if (then_ns == 0)
        return 0;
    return then_ns < now_ns ? now_ns - then_ns : 1;
}

/* Entries have the time of the initial time namespace, /proc that of ours; both are rounded. */
static bool same_start(uint64_t here, uint64_t entry)
{
    int64_t tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);
    int64_t apart = (int64_t)(here - entry) - timens_boot_shift_ns() / tick_ns;

    return apart >= -1 && apart <= 1;
}

/* Ask about a process of our pid namespace that is still the one that joined: the number may be
 * another's. */
static void ask_proc(tr_participant_stats *out)
{
    struct process process;
    struct stat own;

    out->foreign = stat("/proc/self/ns/pid", &own) < 0 || out->pid_ns != own.st_ino;
    if (out->foreign || process_read(out->pid, &process) < 0 ||
        !same_start(process.start_time, out->start_time))
        return;
    out->state = (uint32_t)process.state;
    memcpy(out->command, process.name, sizeof(out->command));
}

static void read_participant(const struct view *view, uint32_t i,
                             tr_participant_stats *out)
{
    struct participant *entry = view_participant(view, i);
    struct person person = {.view = view, .out = out};

    memset(out, 0, sizeof(*out));
    out->index = i;
    /* E4 acquire: pairs with participant_join(). */
    out->incarnation = PARTICIPANT_INC(shm_load(&entry->word, E4_LOOK));
    out->pid = shm_get(&entry->pid);
    out->uid = shm_get(&entry->uid);
    out->alive = !hooks->dead(view, i);
    out->start_time = shm_get(&entry->start_time);
    out->pid_ns = shm_get(&entry->pid_ns);
    out->joined_ns = age_ns(shm_get(&entry->joined_ns));
    count_slots(&person);
    count_pins(&person);
    name_channel(&person);
    out->oldest_ns = age_ns(person.oldest_ns);
    ask_proc(out);
}

int stats_participants(const struct view *view, const struct rows *rows)
{
    int result = rows_check(rows, sizeof(tr_participant_stats), "stats"), cancel;

    if (result < 0)
        return result;
    cancel = uncancel_begin();
    *rows->count = 0;
    for (uint32_t i = 0; i < view->geo.participant_count && !rows_full(rows); i++) {
        tr_participant_stats one;

        /* E4 acquire: pairs with participant_join(). */
        if (PARTICIPANT_STATE(shm_load(&view_participant(view, i)->word, E4_LOOK)) ==
            PARTICIPANT_FREE)
            continue;
        read_participant(view, i, &one);
        rows_add(rows, &one);
    }
    uncancel_end(cancel);
    return 0;
}
