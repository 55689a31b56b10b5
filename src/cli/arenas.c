/* SPDX-License-Identifier: MIT */
/* What named arenas are doing: ls, stat, who, reap, gc. Looking joins as a participant, for
 * as long as it takes. */
#include <argp.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <tensoring/stats.h>

#include "cli.h"

#define FOLDER "/dev/shm"
#define PREFIX "tensoring."

enum { KEY_JSON = 0x200, KEY_DRY_RUN };
enum { MAX_CHANNELS = TR_MAX_CHANNELS };

enum wanted { NO_NAME, MAYBE_NAME, A_NAME };

struct args {
    bool json, dry_run;
    enum wanted wanted;
    const char *name;
};

static const struct argp_option json_option[] = {
    {"json", KEY_JSON, NULL, 0, "Print JSON", 0}, {0}};
static const struct argp_option gc_options[] = {
    {"json", KEY_JSON, NULL, 0, "Print JSON", 0},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "Say what would be removed", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct args *args = state->input;

    switch (key) {
    case KEY_JSON:
        args->json = true;
        return 0;
    case KEY_DRY_RUN:
        args->dry_run = true;
        return 0;
    case ARGP_KEY_ARG:
        if (args->name || args->wanted == NO_NAME)
            return ARGP_ERR_UNKNOWN;
        args->name = arg;
        return 0;
    case ARGP_KEY_END:
        if (!args->name && args->wanted == A_NAME)
            argp_error(state, "which arena? tensoring ls shows them");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static struct args take(int argc, char **argv, const struct argp_option *options,
                        enum wanted wanted, const char *doc)
{
    static const char *const usage[] = {NULL, "[PREFIX]", "ARENA"};
    static const struct argp_child children[] = {{&help_argp, 0, NULL, 0}, {0}};
    struct argp argp = {options, parse, usage[wanted], doc, children, NULL, NULL};
    struct args args = {.wanted = wanted};

    argp_parse(&argp, argc, argv, 0, NULL, &args);
    return args;
}

/* How it is with an arena: "alive", "dead" (only we are in it), or why it cannot be said. */
static const char *condition(const char *name, uint32_t *others)
{
    static tr_participant_stats list[TR_MAX_PARTICIPANTS];
    tr_arena_info info = {.struct_size = sizeof(info)};
    size_t count = 0;
    tr_arena *arena;
    int err = tr_arena_attach(&arena, name);

    *others = 0;
    if (err)
        return err == TR_EABANDONED ? "dead" : tr_error_name(err);
    err = tr_arena_info_read(arena, &info);
    if (!err)
        err = tr_stats_participants(arena, list, TR_MAX_PARTICIPANTS, &count);
    for (size_t i = 0; i < count && !err; i++)
        *others += list[i].alive && list[i].index != info.self;
    tr_arena_close(arena);
    if (err)
        return tr_error_name(err);
    return *others ? "alive" : "dead";
}

struct row {
    const char *name, *state;
    uint32_t participants;
    struct stat file;
};

/* Call @p visit with each named arena whose name begins with @p prefix. */
static int each_arena(const char *prefix, void (*visit)(const struct row *, void *),
                      void *context)
{
    DIR *folder = opendir(FOLDER);
    struct dirent *entry;

    if (!folder)
        return complain(FOLDER, TR_ENOENT);
    while ((entry = readdir(folder))) {
        struct row row = {.name = entry->d_name + strlen(PREFIX)};
        char path[512];

        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 ||
            strncmp(row.name, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(path, sizeof(path), FOLDER "/%s", entry->d_name);
        if (lstat(path, &row.file) || !S_ISREG(row.file.st_mode))
            continue;
        row.state = condition(row.name, &row.participants);
        visit(&row, context);
    }
    closedir(folder);
    return 0;
}

static void print_row(const struct row *row, void *unused)
{
    (void)unused;
    printf("%-32s %10" PRIu64 " KiB  %04o  uid %-6u %3u participants  %s\n", row->name,
           (uint64_t)row->file.st_size / 1024, row->file.st_mode & 07777,
           row->file.st_uid, row->participants, row->state);
}

static void add_row(const struct row *row, void *list)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "name", row->name);
    cJSON_AddNumberToObject(json, "bytes", (double)row->file.st_size);
    cJSON_AddNumberToObject(json, "mode", row->file.st_mode & 07777);
    cJSON_AddNumberToObject(json, "uid", row->file.st_uid);
    cJSON_AddNumberToObject(json, "participants", row->participants);
    cJSON_AddStringToObject(json, "state", row->state);
    cJSON_AddItemToArray(list, json);
}

int cmd_ls(int argc, char **argv)
{
    struct args args = take(argc, argv, json_option, NO_NAME, "List the named arenas.");
    cJSON *list = args.json ? cJSON_CreateArray() : NULL;
    int code = each_arena("", args.json ? add_row : print_row, list);

    return args.json ? print_json(list) | code : code;
}

static int attach(const struct args *args, tr_arena **arena)
{
    int err = tr_arena_attach(arena, args->name);

    return err ? complain(args->name, err) : 0;
}

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"?", "queue", "broadcast", "board"};

    return names[kind < 4 ? kind : 0];
}

static void print_stats(const tr_stats *stats, const tr_channel_stats *channel,
                        size_t count)
{
    printf("%u participants, %u channels, %u slots: %u free, %u loaned, %u queued, "
           "%u received, %u shared\n",
           stats->participants, stats->channels, stats->slots, stats->slots_free,
           stats->slots_loaned, stats->slots_queued, stats->slots_received,
           stats->slots_shared);
#define PRINT(name, text) printf("  %-14s %12" PRIu64 "  %s\n", #name, stats->name, text);
    TR_COUNTERS(PRINT)
#undef PRINT
    for (size_t i = 0; i < count; i++)
        printf("%-9s %-32s %" PRIu64 " of %u, sent %" PRIu64 "%s%s\n",
               kind_name(channel[i].kind), channel[i].name, channel[i].depth,
               channel[i].capacity, channel[i].sent,
               channel[i].sleeping_receivers ? ", receivers wait" : "",
               channel[i].sleeping_senders ? ", senders wait" : "");
}

static cJSON *stats_json(const tr_stats *stats, const tr_channel_stats *channel,
                         size_t count)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *list;

#define ADD(name, text) cJSON_AddNumberToObject(json, #name, (double)stats->name);
    ADD(participants, "")
    ADD(channels, "")
    ADD(slots, "")
    ADD(slots_free, "")
    ADD(slots_loaned, "")
    ADD(slots_queued, "")
    ADD(slots_received, "")
    ADD(slots_shared, "")
    TR_COUNTERS(ADD)
#undef ADD
    list = cJSON_AddArrayToObject(json, "channel");
    for (size_t i = 0; i < count; i++) {
        cJSON *one = cJSON_CreateObject();

        cJSON_AddStringToObject(one, "name", channel[i].name);
        cJSON_AddStringToObject(one, "kind", kind_name(channel[i].kind));
        cJSON_AddNumberToObject(one, "depth", (double)channel[i].depth);
        cJSON_AddNumberToObject(one, "capacity", channel[i].capacity);
        cJSON_AddNumberToObject(one, "sent", (double)channel[i].sent);
        cJSON_AddNumberToObject(one, "received", (double)channel[i].received);
        cJSON_AddItemToArray(list, one);
    }
    return json;
}

int cmd_stat(int argc, char **argv)
{
    static tr_channel_stats channel[MAX_CHANNELS];
    struct args args = take(argc, argv, json_option, A_NAME,
                            "Counters and channels of an arena.");
    tr_stats stats = {.struct_size = sizeof(stats)};
    size_t count = 0;
    tr_arena *arena;
    int err;

    if (attach(&args, &arena))
        return 1;
    err = tr_stats_read(arena, &stats);
    if (!err)
        err = tr_stats_channels(arena, channel, MAX_CHANNELS, &count);
    tr_arena_close(arena);
    if (err)
        return complain(args.name, err);
    if (args.json)
        return print_json(stats_json(&stats, channel, count));
    print_stats(&stats, channel, count);
    return 0;
}

static cJSON *participants_json(const tr_participant_stats *list, size_t count,
                                uint32_t self)
{
    cJSON *json = cJSON_CreateArray();

    for (size_t i = 0; i < count; i++) {
        cJSON *one = cJSON_CreateObject();

        if (list[i].index != self) {
            cJSON_AddNumberToObject(one, "index", list[i].index);
            cJSON_AddNumberToObject(one, "pid", list[i].pid);
            cJSON_AddNumberToObject(one, "uid", list[i].uid);
            cJSON_AddBoolToObject(one, "alive", list[i].alive != 0);
            cJSON_AddNumberToObject(one, "loaned", list[i].loaned);
            cJSON_AddNumberToObject(one, "received", list[i].received);
            cJSON_AddNumberToObject(one, "pinned", list[i].pinned);
            cJSON_AddNumberToObject(one, "held_bytes", (double)list[i].held_bytes);
            cJSON_AddItemToArray(json, one);
        } else {
            cJSON_Delete(one);
        }
    }
    return json;
}

int cmd_who(int argc, char **argv)
{
    static tr_participant_stats list[TR_MAX_PARTICIPANTS];
    struct args args = take(argc, argv, json_option, A_NAME,
                            "Participants of an arena, and what they hold.");
    tr_arena_info info = {.struct_size = sizeof(info)};
    size_t count = 0;
    tr_arena *arena;
    int err;

    if (attach(&args, &arena))
        return 1;
    err = tr_arena_info_read(arena, &info);
    if (!err)
        err = tr_stats_participants(arena, list, TR_MAX_PARTICIPANTS, &count);
    tr_arena_close(arena);
    if (err)
        return complain(args.name, err);
    if (args.json)
        return print_json(participants_json(list, count, info.self));
    for (size_t i = 0; i < count; i++)
        if (list[i].index != info.self)
            printf("%3u  process %-8u uid %-6u %-5s  loaned %u, received %u, pinned %u "
                   "(%" PRIu64 " KiB)\n",
                   list[i].index, list[i].pid, list[i].uid,
                   list[i].alive ? "alive" : "dead", list[i].loaned, list[i].received,
                   list[i].pinned, list[i].held_bytes / 1024);
    return 0;
}

int cmd_reap(int argc, char **argv)
{
    struct args args = take(argc, argv, json_option, A_NAME,
                            "Take over what dead participants of an arena held.");
    tr_reap_report report = {0};
    tr_arena *arena;
    int err;

    if (attach(&args, &arena))
        return 1;
    err = tr_arena_reap(arena, &report);
    tr_arena_close(arena);
    if (err)
        return complain(args.name, err);
    if (args.json) {
        cJSON *json = cJSON_CreateObject();

        cJSON_AddNumberToObject(json, "dead", report.dead);
        cJSON_AddNumberToObject(json, "freed", report.freed);
        cJSON_AddNumberToObject(json, "redelivered", report.redelivered);
        cJSON_AddNumberToObject(json, "dropped", report.dropped);
        return print_json(json);
    }
    printf("%u dead: %u slots freed, %u messages redelivered, %u dropped\n", report.dead,
           report.freed, report.redelivered, report.dropped);
    return 0;
}

struct gc {
    bool json;
    uint32_t count;
    cJSON *list;
};

static void count_dead(const struct row *row, void *context)
{
    struct gc *gc = context;

    if (strcmp(row->state, "dead") != 0)
        return;
    gc->count++;
    if (gc->json)
        cJSON_AddItemToArray(gc->list, cJSON_CreateString(row->name));
    else
        printf("%s\n", row->name);
}

int cmd_gc(int argc, char **argv)
{
    struct args args = take(argc, argv, gc_options, MAYBE_NAME,
                            "Remove arenas whose participants are all dead, and FIFOs "
                            "(tensoring-bell.*) that nobody has open.");
    const char *prefix = args.name ? args.name : "";
    struct gc gc = {.json = args.json};
    cJSON *json = args.json ? cJSON_CreateObject() : NULL;
    int err = 0;

    if (args.dry_run) {
        if (json)
            gc.list = cJSON_AddArrayToObject(json, "names");
        err = each_arena(prefix, count_dead, &gc);
    } else {
        err = tr_arena_sweep(prefix, &gc.count);
        if (err)
            complain("gc", err);
    }
    if (json) {
        cJSON_AddNumberToObject(json, args.dry_run ? "would_remove" : "removed",
                                gc.count);
        return print_json(json) | (err != 0);
    }
    printf("%u %s\n", gc.count, args.dry_run ? "would be removed" : "removed");
    return err != 0;
}
