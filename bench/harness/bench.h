/* SPDX-License-Identifier: MIT */
/* bench.h - what a case is given. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "harness/comparison.h"

struct options {
    size_t bytes; /* 0: the sizes that the case has by itself */
    double seconds;
    unsigned modes; /* MODE_... wanted */
    enum touch touch;
    bool touch_given;
    const char *transport; /* a group of transports, or "all" */
    const char *json;
};

void case_latency(const struct options *options);
void case_stream(const struct options *options);
void case_rate(const struct options *options);
void case_wake(const struct options *options);
void case_load(const struct options *options);
void case_floor(const struct options *options);
void case_cycle(const struct options *options);
void case_attach(const struct options *options);
void case_faults(const struct options *options);
void case_digits(const struct options *options);
void case_bars(const struct options *options);
void case_request(const struct options *options);
void case_broadcast(const struct options *options);
void case_board(const struct options *options);
void case_waitset(const struct options *options);
void case_idle(const struct options *options);
void case_spin(const struct options *options);
void case_loader(const struct options *options);

/* For cases: whether the transport and the mode are asked for. */
bool wanted(const struct options *options, const struct transport *transport);
bool is_socket(const struct transport *transport);

/* Parts of cases that `bars` uses too. */
void faults_of(const struct transport *transport, size_t bytes, enum mode mode,
               uint64_t messages, double *faults, double *syscalls);
void bars_request(const struct options *options);
void bars_board(const struct options *options);
void bars_broadcast(const struct options *options);
void cycle_scrub(double seconds);
struct ratio cycle_ratio(unsigned rounds, double seconds);
struct ratio attach_ratio(size_t bytes, unsigned rounds);

#endif
