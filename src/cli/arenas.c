/* SPDX-License-Identifier: MIT */
/* What arenas are doing: ls, stat, who. They look without joining. */
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "arena_args.h"
#include "blocked.h"
#include "cli.h"
#include "find.h"
#include "text.h"

static void print_row(const struct place *place, void *unused)
{
    char people[16] = "?", name[PATH_MAX];
    int alive;
    const char *state = place_condition(place->name, &alive);

    (void)unused;
    if (alive >= 0)
        snprintf(people, sizeof(people), "%d", alive);
    printf("%-32s %10" PRIu64 " KiB  %04o  uid %-6u %3s participants  %s\n",
           printable(place->name, name, sizeof(name)),
           (uint64_t)place->file.st_size / 1024, place->file.st_mode & 07777,
           place->file.st_uid, people, state);
}

static void add_row(const struct place *place, void *list)
{
    cJSON *json = cJSON_CreateObject();
    char mode[8], name[PATH_MAX];
    int alive;
    const char *state = place_condition(place->name, &alive);

    snprintf(mode, sizeof(mode), "%04o", place->file.st_mode & 07777);
    cJSON_AddStringToObject(json, "name", printable(place->name, name, sizeof(name)));
    cJSON_AddBoolToObject(json, "anonymous", strchr(place->name, '/') != NULL);
    cJSON_AddNumberToObject(json, "bytes", (double)place->file.st_size);
    cJSON_AddStringToObject(json, "mode", mode);
    cJSON_AddNumberToObject(json, "uid", place->file.st_uid);
    cJSON_AddItemToObject(json, "participants",
                          alive < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(alive));
    cJSON_AddStringToObject(json, "state", state);
    cJSON_AddItemToArray(list, json);
}

int cmd_ls(int argc, char **argv)
{
    struct arena_args args = take_arena_args(
        argc, argv, WANTS_NOTHING,
        "List the arenas: the named ones, and those without a name, in processes "
        "that this user may inspect, by a path for 'stat' and 'who'.");
    place_visitor *visit = args.json ? add_row : print_row;
    cJSON *list = args.json ? cJSON_CreateArray() : NULL;
    int code = each_named("", visit, list);

    each_anonymous(visit, list);
    return args.json ? print_json(list) | code : code;
}

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"?", "queue", "broadcast", "board"};

    return names[kind < 4 ? kind : 0];
}

static void print_channel(const tr_channel_stats *one)
{
    printf("%-9s %-32s %" PRIu64 " of %u", kind_name(one->kind), one->name, one->depth,
           one->capacity);
    if (one->kind == TR_CHANNEL_BOARD)
        printf(" keys, changed %" PRIu64 " times", one->sent);
    else
        printf("%s, sent %" PRIu64, one->kind == TR_CHANNEL_BROADCAST ? " kept" : "",
               one->sent);
    if (one->orphans)
        printf(", %u of dead receivers", one->orphans);
    printf("%s%s\n", one->sleeping_receivers ? ", receivers wait" : "",
           one->sleeping_senders ? ", senders wait" : "");
}

/* "12 us" */
static const char *time_text(uint64_t ns, char *text, size_t room)
{
    double value = (double)ns;

    if (ns < 1000000)
        snprintf(text, room, "%.3g us", value / 1e3);
    else if (ns < 1000000000)
        snprintf(text, room, "%.3g ms", value / 1e6);
    else if (ns < UINT64_MAX)
        snprintf(text, room, "%.3g s", value / 1e9);
    else
        snprintf(text, room, "more");
    return text;
}

static void print_times(const char *what, const struct figures *one)
{
    char half[32], p99[32];

    if (one->count)
        printf("  %s %" PRIu64 ": p50 %s, p99 %s", what, one->count,
               time_text(one->half, half, sizeof(half)),
               time_text(one->p99, p99, sizeof(p99)));
}

/* What a queue has counted, in a line of its own. */
static void print_counted(const struct figures counted[HISTOGRAM_KINDS])
{
    const struct figures *batch = &counted[TR_HISTOGRAM_BATCH];

    print_times("waits", &counted[TR_HISTOGRAM_WAIT]);
    print_times("served", &counted[TR_HISTOGRAM_SERVICE]);
    if (batch->count)
        printf("  batches %" PRIu64 ": p50 %" PRIu64 " rows, p99 %" PRIu64 " rows",
               batch->count, batch->half, batch->p99);
    if (counted[TR_HISTOGRAM_WAIT].count || batch->count)
        putchar('\n');
}

static void print_memory(const tr_arena_info *info)
{
    printf("slots have %" PRIu64 " bytes: receivers %" PRIu64 ", free slots %" PRIu64
           "; the limit is ",
           info->slots_bytes, info->received_bytes, info->warm_bytes);
    if (info->memory_bytes)
        printf("%" PRIu64 "\n", info->memory_bytes);
    else
        puts("the machine's");
}

static void print_stats(const struct findings *found)
{
    const tr_stats *stats = &found->stats;

    printf("%u participants, %u channels, %u slots: %u free, %u loaned, %u queued, "
           "%u orphaned, %u received, %u kept, %u on boards, %u pinned, %u retired\n",
           stats->participants, stats->channels, stats->slots, stats->slots_free,
           stats->slots_loaned, stats->slots_queued, stats->slots_orphaned,
           stats->slots_received, stats->slots_kept, stats->slots_board,
           stats->slots_pinned, stats->slots_retired);
    if (found->info.flags & TR_ARENA_ELASTIC)
        print_memory(&found->info);
#define PRINT(name, text) printf("  %-14s %12" PRIu64 "  %s\n", #name, stats->name, text);
    TR_COUNTERS(PRINT)
#undef PRINT
    for (size_t i = 0; i < found->channels; i++) {
        print_channel(&found->channel[i]);
        print_counted(found->counted[i]);
    }
    print_blocked(found);
}

static void add_count(cJSON *json, const char *name, bool known, uint64_t value)
{
    cJSON_AddItemToObject(json, name,
                          known ? cJSON_CreateNumber((double)value) : cJSON_CreateNull());
}

static void add_figures(cJSON *json, const char *name, bool known,
                        const struct figures *one)
{
    cJSON *figures = known ? cJSON_CreateObject() : cJSON_CreateNull();

    cJSON_AddItemToObject(json, name, figures);
    if (!known)
        return;
    cJSON_AddNumberToObject(figures, "count", (double)one->count);
    add_count(figures, "p50", one->count != 0, one->half);
    add_count(figures, "p99", one->count != 0, one->p99);
}

static cJSON *channel_json(const tr_channel_stats *one,
                           const struct figures counted[HISTOGRAM_KINDS])
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "name", one->name);
    cJSON_AddStringToObject(json, "kind", kind_name(one->kind));
    add_count(json, "depth", true, one->depth);
    add_count(json, "capacity", true, one->capacity);
    add_count(json, "sent", one->kind != TR_CHANNEL_BOARD, one->sent);
    add_count(json, "received", one->kind != TR_CHANNEL_BOARD, one->received);
    add_count(json, "changes", one->kind == TR_CHANNEL_BOARD, one->sent);
    add_count(json, "orphans", one->kind == TR_CHANNEL_QUEUE, one->orphans);
    add_count(json, "receivers", one->kind == TR_CHANNEL_QUEUE, one->receivers);
    cJSON_AddBoolToObject(json, "receivers_wait", one->sleeping_receivers != 0);
    cJSON_AddBoolToObject(json, "senders_wait", one->sleeping_senders != 0);
    add_figures(json, "wait_ns", one->kind == TR_CHANNEL_QUEUE,
                &counted[TR_HISTOGRAM_WAIT]);
    add_figures(json, "service_ns", one->kind == TR_CHANNEL_QUEUE,
                &counted[TR_HISTOGRAM_SERVICE]);
    add_figures(json, "batch_rows", one->kind == TR_CHANNEL_QUEUE,
                &counted[TR_HISTOGRAM_BATCH]);
    return json;
}

static void add_memory(cJSON *json, const tr_arena_info *info)
{
    bool elastic = info->flags & TR_ARENA_ELASTIC;

    add_count(json, "slots_bytes", elastic, info->slots_bytes);
    add_count(json, "received_bytes", elastic, info->received_bytes);
    add_count(json, "warm_bytes", elastic, info->warm_bytes);
    add_count(json, "memory_bytes", elastic && info->memory_bytes, info->memory_bytes);
}

static cJSON *stats_json(const struct findings *found)
{
    const tr_stats *stats = &found->stats;
    cJSON *json = cJSON_CreateObject();
    cJSON *list;

#define ADD(name, text) cJSON_AddNumberToObject(json, #name, (double)stats->name);
    ADD(participants, "")
    ADD(channels, "")
    ADD(slots, "")
    ADD(slots_free, "")
    ADD(slots_loaned, "")
    ADD(slots_queued, "")
    ADD(slots_orphaned, "")
    ADD(slots_received, "")
    ADD(slots_kept, "")
    ADD(slots_board, "")
    ADD(slots_pinned, "")
    ADD(slots_retired, "")
    TR_COUNTERS(ADD)
#undef ADD
    add_memory(json, &found->info);
    list = cJSON_AddArrayToObject(json, "channel");
    for (size_t i = 0; i < found->channels; i++)
        cJSON_AddItemToArray(list, channel_json(&found->channel[i], found->counted[i]));
    cJSON_AddItemToObject(json, "blocked", blocked_json(found));
    return json;
}

/* One arena, or all of a process: then the JSON is a list. */
struct report {
    const struct arena_args *args;
    cJSON *list; /* NULL: print text */
    int code;
    uint32_t count;
};

static void show(struct report *report, cJSON *json)
{
    if (report->list)
        cJSON_AddItemToArray(report->list, json);
    else
        report->code |= print_json(json);
}

/* Names of inboxes begin with a byte that names of users may not have. */
static void make_readable(char name[64])
{
    if (*name == 1)
        memmove(name, name + 1, strlen(name));
    make_printable(name);
}

static struct figures figures_of(const tr_look *look, const tr_channel_stats *channel,
                                 uint32_t kind)
{
    tr_histogram found = TR_HISTOGRAM_INIT;

    if (channel->kind != TR_CHANNEL_QUEUE ||
        tr_look_histogram(look, channel->name, kind, &found))
        return (struct figures){0};
    return (struct figures){.count = found.count,
                            .half = tr_histogram_quantile(&found, 0.5),
                            .p99 = tr_histogram_quantile(&found, 0.99)};
}

static void find_counted(const tr_look *look, struct findings *found)
{
    for (size_t i = 0; i < found->channels; i++)
        for (uint32_t kind = 0; kind < HISTOGRAM_KINDS; kind++)
            found->counted[i][kind] = figures_of(look, &found->channel[i], kind);
}

static int find_all(const tr_look *look, struct findings *found)
{
    int result;

    found->stats.struct_size = sizeof(found->stats);
    result = tr_look_stats(look, &found->stats);
    if (!result)
        result = tr_look_channels(look, found->channel, sizeof(tr_channel_stats),
                                  TR_MAX_CHANNELS, &found->channels);
    if (!result)
        find_counted(look, found);
    if (!result)
        result = tr_look_participants(look, found->person, sizeof(tr_participant_stats),
                                      TR_MAX_PARTICIPANTS, &found->people);
    if (!result)
        result = tr_look_classes(look, found->size, sizeof(tr_class_stats),
                                 TR_MAX_CLASSES, &found->sizes);
    found->info.struct_size = sizeof(found->info);
    if (!result)
        result = tr_look_info(look, &found->info);
    for (size_t i = 0; !result && i < found->channels; i++)
        make_readable(found->channel[i].name);
    for (size_t i = 0; !result && i < found->people; i++) {
        make_printable(found->person[i].command);
        make_readable(found->person[i].channel);
    }
    return result;
}

static int look_for(const char *name, struct findings *found)
{
    tr_look *look;
    int result = look_at(name, &look);

    if (!result) {
        result = find_all(look, found);
        tr_look_close(look);
    }
    return result;
}

/* One more arena of the report. NULL: nothing was found, as was reported. */
static const struct findings *find_for(struct report *report, const struct place *place)
{
    static struct findings found;
    int result = look_for(place->name, &found);

    report->count++;
    if (result)
        report->code |= complain_look(place->name, result);
    return result ? NULL : &found;
}

static void stat_one(const struct place *place, void *context)
{
    struct report *report = context;
    const struct findings *found = find_for(report, place);

    if (found && report->args->json)
        show(report, stats_json(found));
    else if (found)
        print_stats(found);
}

/* "12 s", "n/a" */
static const char *age_text(uint64_t ns, char *text, size_t room)
{
    double seconds = (double)ns / 1e9;

    if (ns == 0)
        snprintf(text, room, "n/a");
    else if (seconds < 120)
        snprintf(text, room, "%.1f s", seconds);
    else if (seconds < 7200)
        snprintf(text, room, "%.0f min", seconds / 60);
    else
        snprintf(text, room, "%.1f h", seconds / 3600);
    return text;
}

static void print_person(const tr_participant_stats *one)
{
    char joined[32], oldest[32], space[48] = "";

    if (one->foreign && one->pid_ns)
        snprintf(space, sizeof(space), " of pid namespace %" PRIu64, one->pid_ns);
    else if (one->foreign)
        snprintf(space, sizeof(space), " of an unknown pid namespace");
    printf("%3u  process %-8u%s %-15s uid %-6u %-7s  loaned %u, received %u%s%s (%" PRIu64
           " KiB), pinned %u (%" PRIu64 " KiB)  oldest %s, joined %s ago\n",
           one->index, one->pid, space, *one->command ? one->command : "n/a", one->uid,
           condition_of(one), one->loaned, one->received, *one->channel ? " from " : "",
           one->channel, one->held_bytes / 1024, one->pinned, one->pinned_bytes / 1024,
           age_text(one->oldest_ns, oldest, sizeof(oldest)),
           age_text(one->joined_ns, joined, sizeof(joined)));
}

static void add_text(cJSON *json, const char *name, const char *text)
{
    cJSON_AddItemToObject(json, name,
                          *text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static cJSON *person_json(const tr_participant_stats *one)
{
    char state[2] = {(char)one->state, 0};
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "index", one->index);
    cJSON_AddNumberToObject(json, "pid", one->pid);
    cJSON_AddBoolToObject(json, "foreign", one->foreign != 0);
    add_count(json, "pid_namespace", one->pid_ns != 0, one->pid_ns);
    add_text(json, "command", one->command);
    add_text(json, "process_state", state);
    cJSON_AddNumberToObject(json, "uid", one->uid);
    cJSON_AddBoolToObject(json, "alive", one->alive != 0);
    cJSON_AddStringToObject(json, "state", condition_of(one));
    cJSON_AddNumberToObject(json, "loaned", one->loaned);
    cJSON_AddNumberToObject(json, "received", one->received);
    add_text(json, "channel", one->channel);
    cJSON_AddNumberToObject(json, "held_bytes", (double)one->held_bytes);
    cJSON_AddNumberToObject(json, "pinned", one->pinned);
    cJSON_AddNumberToObject(json, "pinned_bytes", (double)one->pinned_bytes);
    add_count(json, "oldest_ns", one->oldest_ns != 0, one->oldest_ns);
    add_count(json, "joined_ns", one->joined_ns != 0, one->joined_ns);
    return json;
}

static cJSON *people_json(const struct findings *found)
{
    cJSON *json = cJSON_CreateArray();

    for (size_t i = 0; i < found->people; i++)
        cJSON_AddItemToArray(json, person_json(&found->person[i]));
    return json;
}

static void who_one(const struct place *place, void *context)
{
    struct report *report = context;
    const struct findings *found = find_for(report, place);

    if (found && report->args->json)
        show(report, people_json(found));
    for (size_t i = 0; found && !report->args->json && i < found->people; i++)
        print_person(&found->person[i]);
}

static void title(const struct place *place)
{
    char name[PATH_MAX], alias[PATH_MAX];

    printf("%s (%s)\n", printable(place->name, name, sizeof(name)),
           printable(place->alias, alias, sizeof(alias)));
}

static void stat_titled(const struct place *place, void *context)
{
    if (!((struct report *)context)->list)
        title(place);
    stat_one(place, context);
}

static void who_titled(const struct place *place, void *context)
{
    if (!((struct report *)context)->list)
        title(place);
    who_one(place, context);
}

static int report_all(const struct arena_args *args, place_visitor *one,
                      place_visitor *titled)
{
    struct report report = {.args = args};
    struct place place = {.name = args->name, .alias = args->name};

    if (args->name) {
        one(&place, &report);
        return report.code;
    }
    report.list = args->json ? cJSON_CreateArray() : NULL;
    report.code = each_of_process(args->pid, titled, &report);
    if (report.code == 0 && report.count == 0) {
        fprintf(stderr, "tensoring: process %u has no arena\n", args->pid);
        report.code = 1;
    }
    return args->json ? print_json(report.list) | report.code : report.code;
}

int cmd_stat(int argc, char **argv)
{
    struct arena_args args = take_arena_args(
        argc, argv, WANTS_AN_ARENA,
        "Counters and channels of an arena: a name, or a path as ls prints it.");

    return report_all(&args, stat_one, stat_titled);
}

int cmd_who(int argc, char **argv)
{
    struct arena_args args = take_arena_args(
        argc, argv, WANTS_AN_ARENA,
        "Participants of an arena, and what they hold: a name, or a path as ls prints "
        "it.");

    return report_all(&args, who_one, who_titled);
}
