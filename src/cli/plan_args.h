/* SPDX-License-Identifier: MIT */
/* plan_args.h - the options that `plan` and `run` have in common. */
#ifndef TR_CLI_PLAN_ARGS_H
#define TR_CLI_PLAN_ARGS_H

#include <argp.h>

#include <tensoring/plan.h>

struct plan_args {
    uint32_t workers; /* 0: one a core */
    tr_plan_options options;
};

/* A child parser whose input is a struct plan_args. */
extern const struct argp plan_argp;

extern const char *const policy_names[4];

#endif
