/* SPDX-License-Identifier: MIT */
/* `tensoring bridge status`: what the bridges of an arena say of themselves. */
#include <argp.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tensoring/stats.h>

#include "identity.h"
#include "say.h"
#include "status.h"

enum { KEY_ARENA = 0x100, KEY_JSON, KEY_WAIT };

struct question {
    const char *arena;
    bool json, waits;
    double wait_s;
};

static const struct argp_option status_options[] = {
    {"arena", KEY_ARENA, "NAME", 0, "The arena", 0},
    {"json", KEY_JSON, NULL, 0, "Print JSON", 0},
    {"wait", KEY_WAIT, "SECONDS", 0,
     "Wait until all bridges of the arena are connected; exit status 1 if they are not",
     0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct question *question = state->input;
    char *end;

    switch (key) {
    case KEY_ARENA:
        question->arena = arg;
        return 0;
    case KEY_JSON:
        question->json = true;
        return 0;
    case KEY_WAIT:
        question->waits = true;
        question->wait_s = strtod(arg, &end);
        if (*end || end == arg || !(question->wait_s >= 0 && question->wait_s < 1e6))
            argp_error(state, "--wait takes seconds, not '%s'", arg);
        return 0;
    case ARGP_KEY_END:
        if (!question->arena)
            argp_error(state, "--arena is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char *text_of(const cJSON *json, const char *name)
{
    char *text = cJSON_GetStringValue(cJSON_GetObjectItem(json, name));

    return text ? make_printable(text) : "";
}

static double number_of(const cJSON *json, const char *name)
{
    const cJSON *number = cJSON_GetObjectItem(json, name);

    return cJSON_IsNumber(number) ? number->valuedouble : 0;
}

/* The participants of the arena that live. A bridge that was killed is none of them; another
 * process may have its place. */
struct living {
    tr_participant_stats rows[TR_MAX_PARTICIPANTS];
    size_t count;
};

static const tr_participant_stats *find(const struct living *living, const cJSON *json)
{
    for (size_t i = 0; i < living->count; i++)
        if (living->rows[i].alive &&
            living->rows[i].index == (uint32_t)number_of(json, "participant") &&
            living->rows[i].pid == (uint32_t)number_of(json, "pid"))
            return &living->rows[i];
    return NULL;
}

/* It lives, and its news are old: it is stopped, or has found no slot to write them to. */
static void doubt(cJSON *one, const tr_participant_stats *process, double age_s)
{
    bool stopped = process->state == 'T';
    char why[160];

    snprintf(why, sizeof(why), "without news for %.0f s: %s", age_s,
             stopped ? "the process is stopped"
                     : "the arena has had no free slot for them");
    cJSON_ReplaceItemInObject(one, "why", cJSON_CreateString(why));
    if (stopped)
        cJSON_ReplaceItemInObject(one, "link", cJSON_CreateString("down"));
}

/* What one bridge said, if it has not ended since. */
static cJSON *read_one(tr_board *board, const char *key, const struct living *living)
{
    tr_header header = TR_HEADER_INIT;
    tr_message *message;
    cJSON *json = NULL;
    const tr_tensor *tensor;
    const tr_participant_stats *process;
    double age_s;

    if (tr_board_get(board, key, &message, NULL) < 0)
        return NULL;
    tensor = tr_message_tensor(message, 0);
    if (tensor && tr_message_header_get(message, &header) == 0)
        json = cJSON_ParseWithLength(tensor->data, tensor->nbytes);
    tr_message_release(message);
    process = json ? find(living, json) : NULL;
    if (!process) {
        cJSON_Delete(json);
        return NULL;
    }
    age_s = (double)(now_ns() - header.published_ns) / 1e9;
    if (age_s > STATUS_STALE_S)
        doubt(json, process, age_s);
    return json;
}

static struct living *read_living(tr_board *board)
{
    struct living *living = calloc(1, sizeof(*living));

    if (living && tr_stats_participants(tr_board_arena(board), living->rows,
                                        sizeof(living->rows[0]), TR_MAX_PARTICIPANTS,
                                        &living->count) < 0)
        living->count = 0;
    return living;
}

/* The board of the bridges, which a question does not make. NULL: there is none. */
static tr_board *find_board(tr_arena *arena)
{
    tr_board_options options = TR_BOARD_OPTIONS_INIT; /* as large as it is */
    tr_channel_stats *all = calloc(TR_MAX_CHANNELS, sizeof(*all));
    tr_board *board = NULL;
    size_t count = 0;

    if (all && tr_stats_channels(arena, all, sizeof(*all), TR_MAX_CHANNELS, &count) == 0)
        for (size_t i = 0; i < count && !board; i++)
            if (strcmp(all[i].name, OWN_BOARD) == 0 &&
                tr_board_open(arena, OWN_BOARD, &options, &board) < 0)
                break;
    free(all);
    return board;
}

static cJSON *read_all(tr_arena *arena)
{
    tr_board *board = find_board(arena);
    struct living *living = board ? read_living(board) : NULL;
    cJSON *list = cJSON_CreateArray();
    char key[TR_MAX_KEY_BYTES + 1];
    uint32_t cursor = 0;

    while (living && tr_board_next(board, &cursor, key, NULL) == 0) {
        cJSON *one = strncmp(key, "status.", 7) == 0 ? read_one(board, key, living)
                                                     : NULL;

        if (one)
            cJSON_AddItemToArray(list, one);
    }
    free(living);
    tr_board_close(board);
    return list;
}

static void add_up(cJSON *all, const cJSON *list, const char *name)
{
    const cJSON *one;
    double sum = 0;

    cJSON_ArrayForEach(one, list) sum += number_of(one, name);
    cJSON_AddNumberToObject(all, name, sum);
}

static const char *link_of(const cJSON *list)
{
    const cJSON *one;

    cJSON_ArrayForEach(one,
                       list) if (strcmp(text_of(one, "link"), "up") != 0) return "down";
    return cJSON_GetArraySize(list) ? "up" : "none";
}

static cJSON *sum_up(cJSON *list)
{
    static const char *const counts[] = {"in_flight", "confirmed", "published",
                                         "repeated",  "doubled",   "missed"};
    cJSON *all = cJSON_CreateObject();

    cJSON_AddStringToObject(all, "link", link_of(list));
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        add_up(all, list, counts[i]);
    cJSON_AddItemToObject(all, "bridges", list);
    return all;
}

static void show_why(const char *before, const char *why)
{
    if (*why)
        printf("%s%s\n", before, why);
}

static void show_channel(const cJSON *one)
{
    bool out = strcmp(text_of(one, "direction"), "out") == 0;

    printf("  %-3s %s %s: %s", text_of(one, "direction"), text_of(one, "kind"),
           text_of(one, "name"), text_of(one, "state"));
    if (out)
        printf(", %.0f in flight, %.0f held back, %.0f confirmed\n",
               number_of(one, "in_flight"), number_of(one, "held"),
               number_of(one, "confirmed"));
    else
        printf(", %.0f published, %.0f repeated, %.0f doubled\n",
               number_of(one, "published"), number_of(one, "repeated"),
               number_of(one, "doubled"));
    if (number_of(one, "away") > 0)
        printf("      %.0f wait for a host that is away\n", number_of(one, "away"));
    show_why("      ", text_of(one, "why"));
}

static void show(const cJSON *all)
{
    const cJSON *one, *channel, *list = cJSON_GetObjectItem(all, "bridges");

    if (!cJSON_GetArraySize(list))
        printf("no bridge runs\n");
    cJSON_ArrayForEach(one, list)
    {
        printf("%s %s (pid %.0f, %s): %s for %.0f s", text_of(one, "role"),
               text_of(one, "endpoint"), number_of(one, "pid"), text_of(one, "security"),
               text_of(one, "link"), number_of(one, "link_seconds"));
        if (*text_of(one, "peer"))
            printf(", %s", text_of(one, "peer"));
        printf("\n");
        show_why("  why: ", text_of(one, "why"));
        show_why("  refused last: ", text_of(one, "stranger"));
        if (number_of(one, "other_arena") > 0)
            printf("  other arena: that of the other side was made again %.0f times\n",
                   number_of(one, "other_arena"));
        cJSON_ArrayForEach(channel, cJSON_GetObjectItem(one, "channels"))
            show_channel(channel);
    }
}

static bool print_json(const cJSON *all)
{
    char *text = cJSON_Print(all);

    if (text)
        puts(text);
    cJSON_free(text);
    return text;
}

/* Again and again, until they are connected or the time is over. */
static cJSON *ask(const struct question *question, tr_arena *arena)
{
    int64_t end = now_ns() + (int64_t)(question->wait_s * 1e9);
    const struct timespec pause = {0, 20000000};

    for (;;) {
        cJSON *all = sum_up(read_all(arena));

        if (!question->waits || strcmp(text_of(all, "link"), "up") == 0 || now_ns() > end)
            return all;
        cJSON_Delete(all);
        nanosleep(&pause, NULL);
    }
}

static int answer(const struct question *question, tr_arena *arena)
{
    cJSON *all = ask(question, arena);
    bool up = strcmp(text_of(all, "link"), "up") == 0, good = true;

    if (question->json)
        good = print_json(all);
    else
        show(all);
    cJSON_Delete(all);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        say("the output is lost: %s", strerrordesc_np(errno));
        good = false;
    }
    return good && (up || !question->waits) ? 0 : 1;
}

int status_main(int argc, char **argv)
{
    struct argp argp = {
        status_options, parse, "",  "Tell what the bridges of an arena do.",
        NULL,           NULL,  NULL};
    struct question question = {0};
    tr_arena *arena = NULL;
    char text[WHY_TEXT];
    int result;

    argp_parse(&argp, argc, argv, 0, NULL, &question);
    result = tr_arena_attach(question.arena, NULL, &arena);
    if (result < 0)
        say("%s", say_failure(text, question.arena, result));
    else
        result = answer(&question, arena);
    tr_arena_close(arena);
    return result != 0;
}
