/* SPDX-License-Identifier: MIT */
#include "jobs/knn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <tensoring/error.h>
#include <tensoring/npy.h>

#include "transports/transport.h"

static void load(const char *directory, const char *name, void *to, uint64_t bytes)
{
    static uint8_t file[1 << 18];
    char path[4096];
    tr_npy npy;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *stream = fopen(path, "rb");
    if (!stream)
        die("%s: %s", path, strerror(errno));
    const size_t size = fread(file, 1, sizeof file, stream);
    fclose(stream);
    if (tr_npy_decode(file, size, size, 0, &npy) != 0)
        die("%s: %s", path, tr_error_detail());
    if (npy.data_bytes != bytes || npy.dtype.code != TR_DTYPE_UINT || npy.dtype.bits != 8)
        die("%s: not the array expected", path);
    memcpy(to, file + npy.data_offset, bytes);
}

void digits_load(struct digits *digits, const char *directory)
{
    load(directory, "digits_images.npy", digits->image, sizeof digits->image);
    load(directory, "digits_labels.npy", digits->label, sizeof digits->label);
}

struct verdict digits_classify(const struct digits *digits, const uint8_t *image)
{
    /* 10 * distance + label, the least three and one that falls out */
    int32_t best[4] = {INT32_MAX, INT32_MAX, INT32_MAX};

    for (unsigned i = 0; i < DIGITS_KNOWN; i++) {
        const uint8_t *known = digits->image[i];
        int32_t distance = 0;
        for (unsigned p = 0; p < DIGITS_PIXELS; p++)
            distance += (known[p] - image[p]) * (known[p] - image[p]);
        const int32_t key = 10 * distance + digits->label[i];
        unsigned at = 3;
        for (; at > 0 && key < best[at - 1]; at--)
            best[at] = best[at - 1];
        best[at] = key;
    }
    return (struct verdict){.distance = best[0] / 10,
                            .label = best[1] % 10 == best[2] % 10 ? best[1] % 10
                                                                  : best[0] % 10};
}
