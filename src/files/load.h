/* SPDX-License-Identifier: MIT */
/* load.h - a file on its way into a slot. */
#ifndef TR_SRC_LOAD_H
#define TR_SRC_LOAD_H

#include <stdbool.h>
#include <sys/stat.h>
#include <tensoring/loader.h>

#include "src/message/message.h"

/* One file. */
struct load {
    const char *path;
    size_t index;
    int fd; /* -1: closed */
    bool direct;
    uint64_t align; /* of lengths and offsets, if direct; else 1 */
    uint64_t bytes; /* of the file, when it was opened */
    struct timespec changed;
    uint64_t done; /* bytes read */
    tr_message *message;
};

/* Open the file and find out what it is. 0, or a TR_E... whose detail names it. */
int load_open(struct load *load, bool direct);

/* A slot for it. */
int load_loan(struct load *load, struct tr_arena *arena, int64_t timeout_ns);

/* The next part to read. */
void *load_at(const struct load *load);
size_t load_left(const struct load *load);

/* A read returned @p got (a count, or -errno). 1: all is there. 0: read on. TR_E... */
int load_took(struct load *load, int64_t got);

/* All is there: what kind of array is it? The message is ready to be sent. */
int load_finish(struct load *load, uint32_t header_limit);

/* Give everything back. */
void load_drop(struct load *load);

#endif
