/* SPDX-License-Identifier: MIT */
/* report.h - rows and bars: a table for people, JSON for programs. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "harness/histogram.h"
#include "transports/transport.h"

struct row {
    const char *name; /* the case */
    const char *transport;
    enum mode mode;
    enum touch touch;
    double bytes;
    double p50_ns, p90_ns, p99_ns, p999_ns, max_ns;
    double messages_per_s, bytes_per_s, cpu_s;
    bool counted; /* the next two mean something */
    double faults_per_message, syscalls_per_message;
};

struct bar {
    const char *name;
    const char *what; /* subject / reference */
    double measured;  /* median of the rounds */
    double other;     /* in the other placement, 0 for none */
    double by_hand;   /* with a loop by hand in our place, 0 for none */
    const char *place;
    unsigned rounds;
    double target;
    double goal;   /* beyond the target; 0 for none */
    bool at_least; /* else at most */
};

void row_times(struct row *row, const struct histogram *picoseconds);
void report_begin(void);
void report_row(const struct row *row);
void report_bar(const struct bar *bar);
void report_bars_table(void);
void report_quiet(bool quiet); /* rows go to the JSON alone */
/* Write all to @p path; NULL for nowhere. */
void report_write(const char *path);

const char *mode_name(enum mode mode);
const char *touch_name(enum touch touch);

/* env.c */
struct cJSON;
struct cJSON *environment(void);

#endif
