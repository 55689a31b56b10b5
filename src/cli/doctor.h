/* SPDX-License-Identifier: MIT */
/* doctor.h - findings, and the examinations that make them. */
#ifndef TR_CLI_DOCTOR_H
#define TR_CLI_DOCTOR_H

#include <stddef.h>

enum verdict { FINE, NOTE, WARN, BAD };

struct finding {
    const char *name;
    enum verdict verdict;
    char text[256];   /* what is */
    char advice[256]; /* what to do about it, "" for nothing */
};

struct findings {
    struct finding list[64];
    size_t count;
};

/* Add one; text and advice follow. */
struct finding *found(struct findings *to, const char *name, enum verdict verdict);
__attribute__((format(printf, 2, 3))) void text_of(struct finding *to, const char *format,
                                                   ...);
__attribute__((format(printf, 2, 3))) void advise(struct finding *to, const char *format,
                                                  ...);

void examine_memory(struct findings *to); /* doctor_memory.c */
void examine_kernel(struct findings *to); /* doctor_kernel.c */
void examine_cpus(struct findings *to);   /* doctor_cpus.c */

/* The first line of a file; NULL: there is none. */
char *read_file(const char *path, char *line, size_t size);

#endif
