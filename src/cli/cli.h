/* SPDX-License-Identifier: MIT */
/* cli.h - the tensoring command: one function for each subcommand, on the public headers
 * alone. argv[0] is "tensoring NAME", for usage messages. Each returns the exit code. */
#ifndef TR_CLI_H
#define TR_CLI_H

#include <argp.h>
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

int cmd_plan(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_bridge(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_who(int argc, char **argv);
int cmd_reap(int argc, char **argv);
int cmd_gc(int argc, char **argv);

/* Say what failed and why on stderr; returns 1. */
int complain(const char *what, int result);

/* The program ends with 1 and a sentence if output is lost after this. */
void guard_output(void);

/* Write what stdout still holds. True, and a sentence: not all of the output arrived. */
bool output_lost(void);

/* A child parser for -h; argp has --help, --usage, --version and -V itself. */
extern const struct argp help_argp;

/* Print @p json on stdout and free it; returns 0, or 1 if there was no memory for it. */
int print_json(cJSON *json);

/* A number from @p text, or the end of the program with a usage message. */
uint32_t number_arg(const struct argp_state *state, const char *text, const char *name,
                    uint32_t least, uint32_t most);

#endif
