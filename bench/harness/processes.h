/* SPDX-License-Identifier: MIT */
/* processes.h - the processes of a measurement, one a processor, and the transports they share.
 *
 *  processes_new, processes_add..., processes_start (forks), processes_run..., processes_end
 *
 * All transports of a comparison live in the same processes, so that their runs can be
 * interleaved and nothing but the transport differs. */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include <stdatomic.h>

#include "harness/histogram.h"
#include "transports/transport.h"

#define PROCESSES_MEMBERS 4u
#define PROCESSES_LANES   64u

/* What one process brings back from a run. */
struct result {
    uint64_t elapsed_ns;
    uint64_t cpu_ns;
    uint64_t faults;        /* page faults, minor and major */
    struct histogram times; /* in picoseconds */
};

/* Words that the processes share beside the transports. */
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
    uint64_t serial; /* set by processes_run() */
};

struct processes *processes_new(unsigned members);
/* The lane of the transport, or -errno if it cannot be used here. */
int processes_add(struct processes *processes, const struct transport *transport,
                  size_t bytes);
void processes_start(struct processes *processes);
void processes_run(struct processes *processes, const struct task *task);
const struct result *processes_result(const struct processes *processes, unsigned member);
unsigned processes_members(const struct processes *processes);
const struct transport *processes_transport(const struct processes *processes,
                                            unsigned lane);
size_t processes_bytes(const struct processes *processes, unsigned lane);
void processes_end(struct processes *processes);

/* Make this process a member: bind it, and give @p end its private memory. */
bool member_prepare(struct end *end, unsigned member, unsigned members, size_t bytes);

/* Processors that we may use; whether every process so far runs where it was sent. */
unsigned processes_processors(void);
bool processes_pinned(void);

/* Round trips by the transport's own send() and receive(). */
void round_trips(struct end *end, uint64_t count);

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
