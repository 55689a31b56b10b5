/* SPDX-License-Identifier: MIT */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <tensoring/error.h>
#include <tensoring/version.h>

#include "cli.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"plan", cmd_plan, "show which cores n workers would get"},
    {"run", cmd_run, "start n copies of a command, each on cores of its own"},
    {"doctor", cmd_doctor, "say what this machine and container allow"},
    {"ls", cmd_ls, "list the named arenas"},
    {"stat", cmd_stat, "counters and channels of an arena"},
    {"who", cmd_who, "participants of an arena"},
    {"reap", cmd_reap, "take over what dead participants of an arena held"},
    {"gc", cmd_gc, "remove arenas whose participants are all dead"},
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

int complain(const char *what, int err)
{
    const char *detail = tr_error_detail();

    fprintf(stderr, "tensoring: %s: %s%s%s\n", what, tr_strerror(err),
            *detail ? ": " : "", detail);
    return 1;
}

int print_json(cJSON *json)
{
    char *text = json ? cJSON_Print(json) : NULL;

    cJSON_Delete(json);
    if (!text)
        return complain("json", TR_ENOMEM);
    puts(text);
    cJSON_free(text);
    return fflush(stdout) ? 1 : 0;
}

uint32_t number_arg(const struct argp_state *state, const char *text, const char *name,
                    uint32_t least, uint32_t most)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < least || value > most)
        argp_error(state, "%s is to be a number from %u to %u, not '%s'", name, least,
                   most, text);
    return (uint32_t)value;
}

static void list_commands(FILE *to)
{
    fprintf(to, "Usage: tensoring COMMAND [OPTION...]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
    fprintf(to, "\n'tensoring COMMAND --help' tells more.\n");
}

int main(int argc, char **argv)
{
    char name[64];

    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
        list_commands(argc < 2 ? stderr : stdout);
        return argc < 2 ? EX_USAGE : 0;
    }
    if (!strcmp(argv[1], "--version")) {
        printf("tensoring %d.%d.%d\n", TR_VERSION_MAJOR, TR_VERSION_MINOR,
               TR_VERSION_PATCH);
        return 0;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        snprintf(name, sizeof(name), "tensoring %s", commands[i].name);
        argv[1] = name;
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "tensoring: there is no command '%s'\n\n", argv[1]);
    list_commands(stderr);
    return EX_USAGE;
}
