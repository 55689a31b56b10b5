/* SPDX-License-Identifier: MIT */
/* knn.h - the job: the nearest known digits. The same code in every process. */
#ifndef BENCH_KNN_H
#define BENCH_KNN_H

#include <stdint.h>

#define DIGITS_IMAGES 1797u
#define DIGITS_PIXELS 64u
#define DIGITS_KNOWN  1000u /* looked up; the others are looked for */
#define DIGITS_ASKED  (DIGITS_IMAGES - DIGITS_KNOWN)

struct digits {
    uint8_t image[DIGITS_IMAGES][DIGITS_PIXELS];
    uint8_t label[DIGITS_IMAGES];
};

struct verdict {
    int32_t distance; /* squared, of the nearest */
    int32_t label;    /* that two of the three nearest have, or the nearest */
};

void digits_load(struct digits *digits, const char *directory);
struct verdict digits_classify(const struct digits *digits, const uint8_t *image);

#endif
