/* SPDX-License-Identifier: MIT */
/* names_ops.h - what actors do with the name of an arena, by the calls that programs use, on a
 * model of the folder (folder.h). An actor has one arena at most. */
#ifndef TR_TESTS_NAMES_OPS_H
#define TR_TESTS_NAMES_OPS_H

#include "tests/explore/engine.h"

extern const struct elsewhere names_elsewhere;
void names_killed(struct actor *actor);
const char *names_check(const struct scenario *scenario);

void do_create(struct actor *me, const struct op *op);
void do_attach(struct actor *me, const struct op *op);
void do_enter(struct actor *me, const struct op *op);
void do_close_own(struct actor *me, const struct op *op);
void do_unlink(struct actor *me, const struct op *op);
void do_sweep(struct actor *me, const struct op *op);
void do_die(struct actor *me, const struct op *op);
void do_clean(struct actor *me, const struct op *op);

/* clang-format off */
#define CREATE    {do_create, 0, 0} /* or be told that the name is taken */
#define ATTACH    {do_attach, 0, 0} /* or be told that there is none */
#define ENTER     {do_enter, 0, 0} /* create, or else attach, until one of them succeeds */
#define CLOSE_OWN {do_close_own, 0, 0} /* if it has one */
#define UNLINK    {do_unlink, 0, 0}
#define SWEEP     {do_sweep, 0, 0}
#define DIE       {do_die, 0, 0} /* a death that needs no choice */
#define CLEAN     {do_clean, 0, 0} /* sweep; then the name is there only if it is in use */
/* clang-format on */

#endif
