/* SPDX-License-Identifier: MIT */
#include "harness/report.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BARS 96u

static cJSON *rows;
static struct bar bars[MAX_BARS];
static unsigned bar_count;
static bool quiet_rows;
static bool headed;

const char *mode_name(enum mode mode)
{
    return mode == MODE_SPIN ? "spin" : "block";
}

const char *touch_name(enum touch touch)
{
    static const char *const names[] = {"none", "write", "readwrite", "fillread"};

    return names[touch];
}

void row_times(struct row *row, const struct histogram *picoseconds)
{
    row->p50_ns = (double)histogram_percentile(picoseconds, 0.5) / 1000;
    row->p90_ns = (double)histogram_percentile(picoseconds, 0.9) / 1000;
    row->p99_ns = (double)histogram_percentile(picoseconds, 0.99) / 1000;
    row->p999_ns = (double)histogram_percentile(picoseconds, 0.999) / 1000;
    row->max_ns = (double)picoseconds->max / 1000;
}

void report_begin(void)
{
    rows = cJSON_CreateArray();
    if (!rows)
        die("no memory");
}

void report_quiet(bool quiet)
{
    quiet_rows = quiet;
}

static void print_row(const struct row *row)
{
    if (!headed)
        printf("%-8s %-13s %-5s %-9s %10s %11s %11s %11s %11s %11s %9s %7s\n", "case",
               "transport", "mode", "touch", "bytes", "p50 us", "p90 us", "p99 us",
               "p99.9 us", "M msg/s", "GB/s", "cpu s");
    headed = true;
    printf("%-8s %-13s %-5s %-9s %10.0f %11.3f %11.3f %11.3f %11.3f %11.4f %9.3f %7.3f",
           row->name, row->transport, mode_name(row->mode), touch_name(row->touch),
           row->bytes, row->p50_ns / 1e3, row->p90_ns / 1e3, row->p99_ns / 1e3,
           row->p999_ns / 1e3, row->messages_per_s / 1e6, row->bytes_per_s / 1e9,
           row->cpu_s);
    if (row->counted)
        printf("  %.4f faults, %.4f system calls a message", row->faults_per_message,
               row->syscalls_per_message);
    putchar('\n');
    fflush(stdout);
}

struct number {
    const char *name;
    double value;
};

static void add_numbers(cJSON *object, const struct number numbers[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        cJSON_AddNumberToObject(object, numbers[i].name, numbers[i].value);
}

void report_row(const struct row *row)
{
    const struct number numbers[] = {
        {"bytes", row->bytes},
        {"p50_ns", row->p50_ns},
        {"p90_ns", row->p90_ns},
        {"p99_ns", row->p99_ns},
        {"p999_ns", row->p999_ns},
        {"max_ns", row->max_ns},
        {"messages_per_s", row->messages_per_s},
        {"bytes_per_s", row->bytes_per_s},
        {"cpu_s", row->cpu_s},
        /* where they were counted */
        {"faults_per_message", row->faults_per_message},
        {"syscalls_per_message", row->syscalls_per_message},
    };
    size_t n = sizeof(numbers) / sizeof(numbers[0]) - (row->counted ? 0 : 2);
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "case", row->name);
    cJSON_AddStringToObject(o, "transport", row->transport);
    cJSON_AddStringToObject(o, "mode", mode_name(row->mode));
    cJSON_AddStringToObject(o, "touch", touch_name(row->touch));
    add_numbers(o, numbers, n);
    if (!cJSON_AddItemToArray(rows, o))
        die("no memory");
    if (!quiet_rows)
        print_row(row);
}

void report_bar(const struct bar *bar)
{
    if (bar_count == MAX_BARS)
        die("more than %u bars", MAX_BARS);
    bars[bar_count++] = *bar;
}

static bool met(const struct bar *bar)
{
    if (bar->rounds == 0)
        return false;
    return bar->at_least ? bar->measured >= bar->target : bar->measured <= bar->target;
}

static const char *verdict(const struct bar *bar)
{
    if (bar->rounds == 0)
        return "not measured";
    if (!met(bar))
        return "MISSED";
    if (bar->goal > 0 &&
        (bar->at_least ? bar->measured >= bar->goal : bar->measured <= bar->goal))
        return "met, and the goal";
    return "met";
}

void report_bars_table(void)
{
    unsigned good = 0;

    printf("%-22s %-44s %9s %9s %9s %9s %6s %3s  %s\n", "bar", "subject / reference",
           "measured", "(other)", "(by hand)", "target", "place", "n", "verdict");
    for (unsigned i = 0; i < bar_count; i++) {
        const struct bar *bar = &bars[i];
        char other[16] = "-", by_hand[16] = "-", target[16];
        if (bar->other > 0)
            snprintf(other, sizeof other, "%.3f", bar->other);
        if (bar->by_hand > 0)
            snprintf(by_hand, sizeof by_hand, "%.3f", bar->by_hand);
        snprintf(target, sizeof target, "%s %.4g",
                 bar->at_least ? ">=" : "<=", bar->target);
        printf("%-22s %-44s %9.3f %9s %9s %9s %6s %3u  %s\n", bar->name, bar->what,
               bar->measured, other, by_hand, target, bar->place, bar->rounds,
               verdict(bar));
        good += met(bar);
    }
    printf("%u of %u bars met\n", good, bar_count);
}

static cJSON *bars_json(void)
{
    cJSON *list = cJSON_CreateArray();

    for (unsigned i = 0; i < bar_count; i++) {
        const struct bar *bar = &bars[i];
        const struct number numbers[] = {
            {"measured", bar->measured}, {"other_placement", bar->other},
            {"by_hand", bar->by_hand},   {"rounds", bar->rounds},
            {"target", bar->target},     {"goal", bar->goal},
        };
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "bar", bar->name);
        cJSON_AddStringToObject(o, "what", bar->what);
        cJSON_AddStringToObject(o, "placement", bar->place);
        cJSON_AddStringToObject(o, "relation", bar->at_least ? ">=" : "<=");
        add_numbers(o, numbers, sizeof(numbers) / sizeof(numbers[0]));
        cJSON_AddBoolToObject(o, "met", met(bar));
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

void report_write(const char *path)
{
    if (!path)
        return;
    cJSON *all = cJSON_CreateObject();
    cJSON_AddItemToObject(all, "env", environment());
    cJSON_AddItemToObject(all, "rows", rows);
    if (bar_count)
        cJSON_AddItemToObject(all, "bars", bars_json());
    char *text = cJSON_Print(all);
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (!text || !file || fputs(text, file) < 0 || fputc('\n', file) < 0 ||
        fflush(file) != 0)
        die("cannot write %s: %s", path, strerror(errno));
    if (file != stdout)
        fclose(file);
    free(text);
    cJSON_Delete(all);
}
