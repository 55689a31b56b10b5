/* SPDX-License-Identifier: MIT */
/* find.h - which arenas there are: by name in /dev/shm, and without one in the descriptors and
 * mappings of processes. None of them is joined. */
#ifndef TR_CLI_FIND_H
#define TR_CLI_FIND_H

#include <stdbool.h>
#include <sys/stat.h>

#include <tensoring/look.h>

enum { PLACE = 320 };

struct place {
    const char *name;  /* what opens it: a name, or a path with a / in it */
    const char *alias; /* its name without the path, or what /proc says */
    struct stat file;
};

typedef void place_visitor(const struct place *place, void *context);

/* Those with a name that begins with @p prefix. 0, or 1 after a complaint. */
int each_named(const char *prefix, place_visitor *visit, void *context);

/* The file of a named arena itself, not of what a link leads to. 0, or -1: there is none. */
int file_of(const char *name, struct stat *file);

/* One file of each user that has an arena or a FIFO in /dev/shm. */
struct owners {
    struct stat file[256];
    size_t count;
};

/* 0, or 1 after a complaint. */
int find_owners(struct owners *owners);

/* Those without a name, each once. Processes that we may not inspect are skipped. */
void each_anonymous(place_visitor *visit, void *context);

/* All that process @p pid has. 0, or 1 after a complaint: it cannot be inspected. */
int each_of_process(uint32_t pid, place_visitor *visit, void *context);

/* The state of an arena: "alive", "dead" (no living process is in it), or why it can't be
 * said; then *alive is -1. */
const char *place_condition(const char *place, int *alive);

/* Whether no living process is in it. */
bool place_is_dead(const struct place *place);

/* Look at it. A TR_E... code. */
int look_at(const char *place, tr_look **out);

/* The last look_at(), of @p place, failed with @p result: say why on stderr; returns 1. */
int complain_look(const char *place, int result);

#endif
