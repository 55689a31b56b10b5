/* SPDX-License-Identifier: MIT */
/* npy_fuzz.c - any bytes as a .npy file: what is accepted obeys the rules of tensor.h, and
 * survives being written and read again. */
#include "tests/fuzz/fuzz.h"

#include <tensoring/error.h>
#include <tensoring/npy.h>

#include <string.h>

static tr_npy npy, again;

static void check_rules(size_t size)
{
    uint64_t nbytes;

    HOLDS(npy.ndim <= TR_MAX_NDIM);
    HOLDS(memchr(npy.descr, 0, sizeof(npy.descr)));
    HOLDS(npy.version >= 1 && npy.version <= 3);
    HOLDS((npy.flags & ~(uint32_t)(TR_TENSOR_F_ORDER | TR_TENSOR_BYTESWAPPED)) == 0);
    HOLDS(tr_tensor_nbytes(npy.dtype, npy.ndim, npy.shape, &nbytes) == 0);
    HOLDS(nbytes == npy.data_bytes);
    HOLDS(npy.data_offset <= size && nbytes <= size - npy.data_offset);
}

static void check_descr(void)
{
    tr_dtype dtype;
    uint32_t flags;

    if (!npy.descr[0])
        return;
    HOLDS(tr_npy_dtype(npy.descr, &dtype, &flags) == 0);
    HOLDS(memcmp(&dtype, &npy.dtype, sizeof(dtype)) == 0);
    HOLDS(flags == (npy.flags & TR_TENSOR_BYTESWAPPED));
}

static void check_round_trip(void)
{
    tr_tensor_spec spec = {.dtype = npy.dtype,
                           .ndim = npy.ndim,
                           .shape = npy.shape,
                           .descr = npy.descr,
                           .flags = npy.flags};
    size_t asked, bytes;
    uint8_t *header;

    HOLDS(tr_npy_encode(&spec, NULL, 0, &asked) == 0);
    HOLDS(asked % TR_TENSOR_ALIGN == 0);
    header = malloc(asked);
    HOLDS(header);
    HOLDS(tr_npy_encode(&spec, header, asked - 1, &bytes) == TR_EOVERFLOW);
    HOLDS(tr_npy_encode(&spec, header, asked, &bytes) == 0 && bytes == asked);
    HOLDS(tr_npy_decode(header, bytes, bytes + npy.data_bytes, bytes, &again) == 0);
    HOLDS(again.ndim == npy.ndim && again.data_bytes == npy.data_bytes);
    HOLDS(memcmp(again.shape, npy.shape, sizeof(npy.shape)) == 0);
    HOLDS(memcmp(&again.dtype, &npy.dtype, sizeof(npy.dtype)) == 0);
    HOLDS(strcmp(again.descr, npy.descr) == 0);
    /* An array packed in both orders comes back as C-ordered. */
    HOLDS(again.flags == npy.flags ||
          again.flags == (npy.flags & ~(uint32_t)TR_TENSOR_F_ORDER));
    free(header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (tr_npy_decode(data, size, size, size & 1 ? 0 : 65536, &npy) == 0) {
        check_rules(size);
        check_descr();
        check_round_trip();
    }
    return 0;
}
