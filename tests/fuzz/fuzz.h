/* SPDX-License-Identifier: MIT */
/* fuzz.h - what a fuzzer offers, to libFuzzer or to replay_main.c. */
#ifndef TR_TESTS_FUZZ_H
#define TR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Also in release builds: a property that does not hold is a crash to the fuzzer. */
#define HOLDS(property)                                                            \
    do {                                                                           \
        if (!(property)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #property); \
            abort();                                                               \
        }                                                                          \
    } while (0)

#endif
