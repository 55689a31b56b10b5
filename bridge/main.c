/* SPDX-License-Identifier: MIT */
/* tensoring-bridge - carries messages between the arenas of two hosts. The command `tensoring
 * bridge` runs it. */
#include <argp.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <tensoring/version.h>

#include "keep.h"
#include "keys.h"
#include "loop.h"
#include "say.h"
#include "status.h"

static int run_listen(int argc, char **argv)
{
    struct options options = options_take(argc, argv, true);

    return loop_main(&options);
}

static int run_connect(int argc, char **argv)
{
    struct options options = options_take(argc, argv, false);

    return loop_main(&options);
}

static error_t take_name(int key, char *arg, struct argp_state *state)
{
    const char **name = state->input;

    if (key == ARGP_KEY_ARG && !*name) {
        *name = arg;
        return 0;
    }
    if (key == ARGP_KEY_END && !*name)
        argp_error(state, "a name for the keys is missing");
    return ARGP_ERR_UNKNOWN;
}

static int run_keygen(int argc, char **argv)
{
    struct argp argp = {
        NULL,   take_name,
        "NAME", "Make a pair of keys: NAME.key, which is secret, and NAME.pub.",
        NULL,   NULL,
        NULL};
    const char *name = NULL;

    argp_parse(&argp, argc, argv, 0, NULL, &name);
    return keys_make(name);
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"keygen", run_keygen, "make a pair of keys"},
    {"listen", run_listen, "wait for bridges on other hosts"},
    {"connect", run_connect, "connect to a bridge on another host"},
    {"keep", keep_main, "run a bridge, for a program that tells it what to bridge"},
    {"status", status_main, "tell what the bridges of an arena do"},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static int list_commands(FILE *to)
{
    fprintf(to, "Usage: tensoring bridge COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\nFor more, see 'tensoring bridge COMMAND --help'.\n");
    return to == stdout ? 0 : EX_USAGE;
}

int main(int argc, char **argv)
{
    static char version[96], name[64];

    snprintf(version, sizeof(version), "tensoring-bridge %d.%d.%d\nengines: %s",
             TR_VERSION_MAJOR, TR_VERSION_MINOR, TR_VERSION_PATCH, engine_names());
    argp_program_version = version;
    if (TR_VERSION_CHECK() < 0) {
        char text[WHY_TEXT];

        say("%s", say_failure(text, "the library", TR_ENOTSUP));
        return 1;
    }
    if (argc < 2)
        return list_commands(stderr);
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return list_commands(stdout);
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
        return puts(version) < 0;
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        snprintf(name, sizeof(name), "tensoring bridge %s", commands[i].name);
        argv[1] = name;
        return commands[i].run(argc - 1, argv + 1);
    }
    say("there is no command '%s'", argv[1]);
    return list_commands(stderr);
}
