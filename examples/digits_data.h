/* SPDX-License-Identifier: MIT */
/* digits_data.h - 1797 handwritten digits of 8 x 8 pixels, for the examples. */
#ifndef EXAMPLES_DIGITS_DATA_H
#define EXAMPLES_DIGITS_DATA_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensoring/tensoring.h>

#define IMAGES 1797
#define PIXELS 64

static uint8_t images[IMAGES][PIXELS], labels[IMAGES];

static inline void check(int err, const char *what)
{
    if (err) {
        fprintf(stderr, "%s: %s: %s\n", what, tr_strerror(err), tr_error_detail());
        exit(1);
    }
}

static inline void load(const char *directory, const char *name, void *to, uint64_t bytes)
{
    static uint8_t file[1 << 18];
    char path[4096];
    tr_npy npy;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        perror(path);
        exit(1);
    }
    const size_t size = fread(file, 1, sizeof file, stream);
    fclose(stream);
    check(tr_npy_decode(file, size, size, 0, &npy), path);
    if (npy.data_bytes != bytes || npy.dtype.code != TR_DTYPE_UINT ||
        npy.dtype.bits != 8) {
        fprintf(stderr, "%s: not the array expected\n", path);
        exit(1);
    }
    memcpy(to, file + npy.data_offset, bytes);
}

static inline void load_digits(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : "examples/data";

    load(directory, "digits_images.npy", images, sizeof images);
    load(directory, "digits_labels.npy", labels, sizeof labels);
}

#endif
