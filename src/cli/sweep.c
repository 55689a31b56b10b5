/* SPDX-License-Identifier: MIT */
/* What is done about the dead: reap, gc. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "arena_args.h"
#include "cli.h"
#include "find.h"
#include "owner.h"
#include "text.h"

/* Whether somebody is dead there, and the counters so far. A TR_E... code. */
static int look_for_dead(const char *name, bool *dead, tr_stats *stats)
{
    static tr_participant_stats list[TR_MAX_PARTICIPANTS];
    size_t count = 0;
    tr_look *look;
    int result = tr_look_open(name, &look);

    if (result)
        return result;
    *dead = false;
    result = tr_look_stats(look, stats);
    if (!result)
        result = tr_look_participants(look, list, sizeof(tr_participant_stats),
                                      TR_MAX_PARTICIPANTS, &count);
    for (size_t i = 0; i < count; i++)
        *dead |= !list[i].alive;
    tr_look_close(look);
    return result;
}

/* Reaping requires joining. If all entries were taken, only the counters tell what the joining
 * swept. */
static int reap(const char *name, const tr_stats *before, tr_stats *after)
{
    tr_arena *arena;
    int result = tr_arena_attach(name, NULL, &arena);

    if (result)
        return result;
    result = tr_arena_reap(arena, NULL);
    if (!result)
        result = tr_stats_get(arena, after);
    tr_arena_close(arena);
    after->deaths -= before->deaths;
    after->freed -= before->freed;
    after->redelivered -= before->redelivered;
    after->dropped -= before->dropped;
    return result;
}

static int reap_and_say(void *context)
{
    const struct arena_args *args = context;
    tr_stats before = TR_STATS_INIT;
    tr_stats done = TR_STATS_INIT;
    bool dead = false;
    int result = look_for_dead(args->name, &dead, &before);

    if (!result && dead)
        result = reap(args->name, &before, &done);
    if (result)
        return complain(args->name, result);
    if (args->json) {
        cJSON *json = cJSON_CreateObject();

        cJSON_AddNumberToObject(json, "dead", (double)done.deaths);
        cJSON_AddNumberToObject(json, "freed", (double)done.freed);
        cJSON_AddNumberToObject(json, "redelivered", (double)done.redelivered);
        cJSON_AddNumberToObject(json, "dropped", (double)done.dropped);
        return print_json(json);
    }
    printf("%llu dead: %llu slots freed, %llu messages redelivered, %llu dropped\n",
           (unsigned long long)done.deaths, (unsigned long long)done.freed,
           (unsigned long long)done.redelivered, (unsigned long long)done.dropped);
    return 0;
}

int cmd_reap(int argc, char **argv)
{
    struct arena_args args = take_arena_args(
        argc, argv, WANTS_A_NAME, "Take over what dead participants of an arena held.");
    struct stat file;

    if (strchr(args.name, '/')) {
        fprintf(
            stderr,
            "tensoring reap: a path is not a name. An arena without a name is reaped by "
            "the processes that have it\n");
        return EX_USAGE;
    }
    if (file_of(args.name, &file) == 0 && is_of_another(&file))
        return as_owner(&file, reap_and_say, &args) != 0;
    return reap_and_say(&args);
}

struct gc {
    bool json;
    uint32_t count;
    cJSON *list;
};

/* A sweep leaves alone what belongs to others; root acts for each of them. */
static void count_dead(const struct place *place, void *context)
{
    struct gc *gc = context;
    char name[PATH_MAX];

    if ((place->file.st_uid != geteuid() && geteuid() != 0) || !place_is_dead(place))
        return;
    gc->count++;
    printable(place->name, name, sizeof(name));
    if (gc->json)
        cJSON_AddItemToArray(gc->list, cJSON_CreateString(name));
    else
        puts(name);
}

/* A sweep in a child, whose count comes by a pipe. */
struct sweep {
    const char *prefix;
    int pipe[2];
};

static int sweep_and_tell(void *context)
{
    struct sweep *sweep = context;
    uint32_t count = 0;
    int result = tr_arena_sweep(sweep->prefix, &count);

    if (result)
        return complain("gc", result);
    return write(sweep->pipe[1], &count, sizeof(count)) != sizeof(count);
}

static int sweep_as(const struct stat *file, const char *prefix, uint32_t *count)
{
    struct sweep sweep = {.prefix = prefix};
    uint32_t removed = 0;
    int code;

    if (pipe2(sweep.pipe, O_CLOEXEC) < 0)
        return complain("gc: pipe", TR_ENFILE);
    code = as_owner(file, sweep_and_tell, &sweep);
    close(sweep.pipe[1]);
    if (code == 0 && read(sweep.pipe[0], &removed, sizeof(removed)) == sizeof(removed))
        *count += removed;
    close(sweep.pipe[0]);
    return code != 0;
}

/* Our own arenas; for root, those of each user that has an arena or a FIFO there. */
static int sweep_all(const char *prefix, uint32_t *count)
{
    static struct owners owners;
    int code = find_owners(&owners);

    for (size_t i = 0; i < owners.count; i++)
        if (owners.file[i].st_uid == geteuid() || is_of_another(&owners.file[i]))
            code |= sweep_as(&owners.file[i], prefix, count);
    return code;
}

int cmd_gc(int argc, char **argv)
{
    struct arena_args args = take_arena_args(
        argc, argv, MAY_HAVE_A_PREFIX,
        "Remove arenas whose participants are all dead, and FIFOs (tensoring-fifo.*) "
        "that nobody has open.");
    const char *prefix = args.name ? args.name : "";
    struct gc gc = {.json = args.json};
    cJSON *json = args.json ? cJSON_CreateObject() : NULL;
    int result = 0;

    if (args.dry_run) {
        if (json)
            gc.list = cJSON_AddArrayToObject(json, "names");
        result = each_named(prefix, count_dead, &gc);
    } else {
        result = sweep_all(prefix, &gc.count);
    }
    if (json) {
        cJSON_AddNumberToObject(json, args.dry_run ? "would_remove" : "removed",
                                gc.count);
        return print_json(json) | (result != 0);
    }
    printf("%u %s\n", gc.count, args.dry_run ? "would be removed" : "removed");
    return result != 0;
}
