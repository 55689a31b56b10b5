/* SPDX-License-Identifier: MIT */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <tensoring/error.h>
#include <tensoring/version.h>

#include "cli.h"
#include "text.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"plan", cmd_plan, "show which cores n workers would get"},
    {"run", cmd_run, "start n copies of a command, each on cores of its own"},
    {"serve", cmd_serve, "run models, and the web server that calls them"},
    {"bridge", cmd_bridge, "carry messages to the arena of another host"},
    {"doctor", cmd_doctor, "say what this machine and container allow"},
    {"ls", cmd_ls, "list the arenas, named or not"},
    {"stat", cmd_stat, "counters and channels of an arena"},
    {"who", cmd_who, "participants of an arena"},
    {"reap", cmd_reap, "take over what dead participants of an arena held"},
    {"gc", cmd_gc, "remove arenas whose participants are all dead"},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

int complain(const char *what, int result)
{
    char detail[1024], about[PATH_MAX];

    printable(tr_error_detail(), detail, sizeof(detail));
    fprintf(stderr, "tensoring: %s: %s%s%s\n", printable(what, about, sizeof(about)),
            tr_strerror(result), *detail ? ": " : "", detail);
    return 1;
}

int print_json(cJSON *json)
{
    char *text = json ? cJSON_Print(json) : NULL;

    cJSON_Delete(json);
    if (!text)
        return complain("json", TR_ENOMEM);
    puts(text); /* guard_output() checks that it was written */
    cJSON_free(text);
    return 0;
}

uint32_t number_arg(const struct argp_state *state, const char *text, const char *name,
                    uint32_t least, uint32_t most)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < least || value > most)
        argp_error(state, "%s must be a number from %u to %u, not '%s'", name, least,
                   most, text);
    return (uint32_t)value;
}

static void list_commands(FILE *to)
{
    fprintf(to, "Usage: tensoring COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\nFor more, see 'tensoring help COMMAND'.\n");
}

static error_t parse_help(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != 'h')
        return ARGP_ERR_UNKNOWN;
    argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
    return 0;
}

static const struct argp_option help_option[] = {
    {NULL, 'h', NULL, 0, "The same as --help", -1}, {0}};
const struct argp help_argp = {help_option, parse_help, NULL, NULL, NULL, NULL, NULL};

static bool is(const char *text, const char *one, const char *other)
{
    return !strcmp(text, one) || !strcmp(text, other);
}

/* Run the command argv[0], whose arguments follow. */
static int run_command(int argc, char **argv)
{
    static char name[64];

    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[0], commands[i].name) != 0)
            continue;
        snprintf(name, sizeof(name), "tensoring %s", commands[i].name);
        argv[0] = name;
        return commands[i].run(argc, argv);
    }
    fprintf(stderr, "tensoring: there is no command '%s'\n\n", argv[0]);
    list_commands(stderr);
    return EX_USAGE;
}

/* "help COMMAND" is "COMMAND --help". */
static int help(char *command)
{
    static char option[] = "--help";
    char *argv[] = {command, option, NULL};

    if (command)
        return run_command(2, argv);
    list_commands(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    static char version[64];

    guard_output();
    snprintf(version, sizeof(version), "tensoring %d.%d.%d", TR_VERSION_MAJOR,
             TR_VERSION_MINOR, TR_VERSION_PATCH);
    argp_program_version = version;
    if (argc < 2) {
        list_commands(stderr);
        return EX_USAGE;
    }
    if (is(argv[1], "--help", "-h") || !strcmp(argv[1], "help"))
        return help(argc > 2 ? argv[2] : NULL);
    if (is(argv[1], "--version", "-V")) {
        puts(version);
        return 0;
    }
    return run_command(argc - 1, argv + 1);
}
