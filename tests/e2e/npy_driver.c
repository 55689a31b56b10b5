/* SPDX-License-Identifier: MIT */
/* npy_driver.c - one command a line, one answer a line, for npy_numpy.py.
 *
 *  decode PATH                                    -> ok CODE BITS LANES FLAGS VERSION OFFSET
 *                                                    BYTES NDIM EXTENT... DESCR
 *  encode CODE BITS LANES FLAGS NDIM EXTENT... DESCR  -> ok HEX
 *  dtype DESCR                                    -> ok CODE BITS LANES FLAGS
 *
 * A failure is answered by its name and detail. DESCR goes to the end of the line. */
#include <tensoring/tensoring.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say_failure(int err)
{
    printf("%s %s\n", tr_error_name(err), tr_error_detail());
}

static unsigned char *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    unsigned char *all;
    long size;

    if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
        exit(1);
    *bytes = (size_t)size;
    all = malloc(*bytes + 1);
    rewind(file);
    if (!all || fread(all, 1, *bytes, file) != *bytes)
        exit(1);
    fclose(file);
    return all;
}

static void decode(const char *path)
{
    static tr_npy npy;
    size_t bytes;
    unsigned char *all = read_file(path, &bytes);
    int err = tr_npy_decode(all, bytes, bytes, 0, &npy);

    free(all);
    if (err) {
        say_failure(err);
        return;
    }
    printf("ok %u %u %u %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu32,
           npy.dtype.code, npy.dtype.bits, npy.dtype.lanes, npy.flags, npy.version,
           npy.data_offset, npy.data_bytes, npy.ndim);
    for (uint32_t i = 0; i < npy.ndim; i++)
        printf(" %" PRId64, npy.shape[i]);
    printf(" %s\n", npy.descr);
}

static void encode(char *line)
{
    static unsigned char header[32768];
    int64_t shape[32];
    tr_tensor_spec spec = {.shape = shape};
    size_t bytes;
    int err;

    spec.dtype.code = (uint8_t)strtoul(line, &line, 10);
    spec.dtype.bits = (uint8_t)strtoul(line, &line, 10);
    spec.dtype.lanes = (uint16_t)strtoul(line, &line, 10);
    spec.flags = (uint32_t)strtoul(line, &line, 10);
    spec.ndim = (uint32_t)strtoul(line, &line, 10);
    for (uint32_t i = 0; i < spec.ndim && i < 32; i++)
        shape[i] = strtoll(line, &line, 10);
    spec.descr = line + 1;
    err = tr_npy_encode(&spec, header, sizeof(header), &bytes);
    if (err) {
        say_failure(err);
        return;
    }
    printf("ok ");
    for (size_t i = 0; i < bytes; i++)
        printf("%02x", header[i]);
    printf("\n");
}

static void dtype(const char *descr)
{
    tr_dtype type;
    uint32_t flags;
    int err = tr_npy_dtype(descr, &type, &flags);

    if (err)
        say_failure(err);
    else
        printf("ok %u %u %u %" PRIu32 "\n", type.code, type.bits, type.lanes, flags);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    while ((n = getline(&line, &room, stdin)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = 0;
        if (strncmp(line, "decode ", 7) == 0)
            decode(line + 7);
        else if (strncmp(line, "encode ", 7) == 0)
            encode(line + 7);
        else if (strncmp(line, "dtype ", 6) == 0)
            dtype(line + 6);
        else
            return 2;
        fflush(stdout);
    }
    free(line);
    return 0;
}
