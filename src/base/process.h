/* SPDX-License-Identifier: MIT */
/* process.h - what /proc says of a process, for reports and error sentences. */
#ifndef TR_SRC_PROCESS_H
#define TR_SRC_PROCESS_H

#include <stdint.h>

struct process {
    char state;          /* letter of proc(5): R S D T t Z X ... */
    char name[16];       /* as comm has it, without control characters */
    uint64_t start_time; /* clock ticks since boot */
};

/* 0, or -errno: it is gone, or /proc does not show it. */
int process_read(uint32_t pid, struct process *out);

/* "stopped (T)": the state in words, for sentences. */
const char *process_state_text(char state);

#endif
