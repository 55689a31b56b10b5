/* SPDX-License-Identifier: MIT */
#include "plan_args.h"

#include <string.h>

#include "cli.h"

const char *const policy_names[4] = {"compact", "spread", "one-node", "bandwidth"};

enum { KEY_RESERVE = 0x100, KEY_CORES, KEY_FAST, KEY_NO_QUOTA };

static const struct argp_option options[] = {
    {"workers", 'n', "N", 0, "How many workers; default: one for each core", 0},
    {"policy", 'p', "POLICY", 0,
     "compact: neighbours get neighbouring cores (default). spread: consecutive workers "
     "lie "
     "far apart. one-node: no worker on more than one memory node. bandwidth: as "
     "one-node, "
     "with cores from as many L3 caches as there are",
     0},
    {"reserve", KEY_RESERVE, "K", 0, "Leave K cores free for the rest", 0},
    {"cores-per-worker", KEY_CORES, "K", 0, "At most K cores for each worker", 0},
    {"fast-only", KEY_FAST, NULL, 0, "Leave the efficient cores of a hybrid free", 0},
    {"no-quota", KEY_NO_QUOTA, NULL, 0, "Ignore the CPU quota of the cgroup", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct plan_args *args = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        args->workers = 0;
        args->options = (tr_plan_options)TR_PLAN_OPTIONS_INIT;
        return 0;
    case 'n':
        args->workers = number_arg(state, arg, "the number of workers", 1,
                                   TR_MAX_WORKERS);
        return 0;
    case 'p':
        for (uint32_t i = 0; i < 4; i++)
            if (!strcmp(arg, policy_names[i])) {
                args->options.policy = i;
                return 0;
            }
        argp_error(state, "the policy must be %s, %s, %s or %s, not '%s'",
                   policy_names[0], policy_names[1], policy_names[2], policy_names[3],
                   arg);
        return EINVAL;
    case KEY_RESERVE:
        args->options.reserve_cores = number_arg(state, arg, "--reserve", 0, TR_MAX_CPUS);
        return 0;
    case KEY_CORES:
        args->options.cores_per_worker = number_arg(state, arg, "--cores-per-worker", 1,
                                                    TR_MAX_CPUS);
        return 0;
    case KEY_FAST:
        args->options.flags |= TR_PLAN_FAST_ONLY;
        return 0;
    case KEY_NO_QUOTA:
        args->options.flags |= TR_PLAN_NO_QUOTA;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp plan_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};
