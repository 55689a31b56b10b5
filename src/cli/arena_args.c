/* SPDX-License-Identifier: MIT */
#include "arena_args.h"

#include "cli.h"

enum { KEY_JSON = 0x200, KEY_DRY_RUN };

#define JSON                                       \
    {                                              \
        "json", KEY_JSON, NULL, 0, "Print JSON", 0 \
    }

static const struct argp_option json_option[] = {JSON, {0}};
static const struct argp_option arena_options[] = {
    JSON,
    {"pid", 'p', "PID", 0, "Instead of an arena: all that process PID has", 0},
    {0}};
static const struct argp_option gc_options[] = {
    JSON, {"dry-run", KEY_DRY_RUN, NULL, 0, "Say what would be removed", 0}, {0}};

static const struct {
    const struct argp_option *options;
    const char *usage;
} kinds[] = {
    [WANTS_NOTHING] = {json_option, NULL},
    [WANTS_AN_ARENA] = {arena_options, "ARENA"},
    [WANTS_A_NAME] = {json_option, "ARENA"},
    [MAY_HAVE_A_PREFIX] = {gc_options, "[PREFIX]"},
};

static void check(const struct argp_state *state, const struct arena_args *args)
{
    if (args->name && args->pid)
        argp_error(state, "an arena or a process, not both");
    if (!args->name && !args->pid &&
        (args->wants == WANTS_A_NAME || args->wants == WANTS_AN_ARENA))
        argp_error(state, "which arena? tensoring ls shows them");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arena_args *args = state->input;

    switch (key) {
    case KEY_JSON:
        args->json = true;
        return 0;
    case KEY_DRY_RUN:
        args->dry_run = true;
        return 0;
    case 'p':
        args->pid = number_arg(state, arg, "the process", 1, INT32_MAX);
        return 0;
    case ARGP_KEY_ARG:
        if (args->name || args->wants == WANTS_NOTHING)
            return ARGP_ERR_UNKNOWN;
        args->name = arg;
        return 0;
    case ARGP_KEY_END:
        check(state, args);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct arena_args take_arena_args(int argc, char **argv, enum wants wants,
                                  const char *doc)
{
    static const struct argp_child children[] = {{&help_argp, 0, NULL, 0}, {0}};
    struct argp argp = {
        kinds[wants].options, parse, kinds[wants].usage, doc, children, NULL, NULL};
    struct arena_args args = {.wants = wants};

    argp_parse(&argp, argc, argv, 0, NULL, &args);
    return args;
}
