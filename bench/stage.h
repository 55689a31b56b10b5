/* SPDX-License-Identifier: MIT */
/* stage.h - the processes of a measurement, one a processor, and the transports they share.
 *
 *  stage_new, stage_add..., stage_start (forks), stage_run..., stage_end
 *
 * All transports of a comparison live in the same processes, so that their runs can be
 * interleaved and nothing but the transport differs. */
#ifndef BENCH_STAGE_H
#define BENCH_STAGE_H

#include <stdatomic.h>

#include "histogram.h"
#include "transport.h"

#define STAGE_MEMBERS 4u
#define STAGE_LANES   64u

/* What one process brings back from a run. */
struct result {
    uint64_t elapsed_ns;
    uint64_t cpu_ns;
    uint64_t faults;        /* page faults, minor and major */
    struct histogram times; /* in picoseconds */
};

/* Words that the processes of a stage share beside the transports. */
struct meeting {
    _Alignas(128) _Atomic uint64_t arrived;
    _Alignas(128) _Atomic uint64_t ready;
    _Alignas(128) _Atomic uint64_t stamp;
};

struct task {
    void (*run)(struct end *end, const struct task *task, struct meeting *meeting,
                struct result *result);
    unsigned lane;
    enum mode mode;
    enum touch touch;
    uint64_t count; /* messages, or round trips */
    uint64_t batch; /* how many are timed together */
    uint64_t gap_ns;
    uint64_t serial; /* set by stage_run() */
};

struct stage *stage_new(unsigned members);
/* The lane of the transport, or -errno if it cannot be used here. */
int stage_add(struct stage *stage, const struct transport *transport, size_t bytes);
void stage_start(struct stage *stage);
void stage_run(struct stage *stage, const struct task *task);
const struct result *stage_result(const struct stage *stage, unsigned member);
unsigned stage_members(const struct stage *stage);
const struct transport *stage_transport(const struct stage *stage, unsigned lane);
size_t stage_bytes(const struct stage *stage, unsigned lane);
void stage_end(struct stage *stage);

/* Make this process a member: bind it, and give @p end its private memory. */
bool member_prepare(struct end *end, unsigned member, unsigned members, size_t bytes);

/* Processors that we may use; whether every process so far went where it was sent. */
unsigned stage_processors(void);
bool stage_pinned(void);

/* Tasks. */
void run_pingpong(struct end *end, const struct task *task, struct meeting *meeting,
                  struct result *result);
void run_stream(struct end *end, const struct task *task, struct meeting *meeting,
                struct result *result);
void run_load(struct end *end, const struct task *task, struct meeting *meeting,
              struct result *result);
void run_wake(struct end *end, const struct task *task, struct meeting *meeting,
              struct result *result);

#endif
