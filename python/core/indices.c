/* SPDX-License-Identifier: MIT */
/* indices.c - a private copy of index arrays that lie in shared memory, checked after it was
 * made: the sender may write to the slot at any time. */
#include "core.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* -O2 makes no vectors of these loops */
#endif

/* Twice as wide where the processor can, which the loader finds out. Sanitizers are not ready
 * when it asks. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && \
    !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&          \
    !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

#define BLOCK 4096 /* bytes that are looked at while they are in the nearest cache */

/* What was found in the indices that were copied. */
struct found {
    bool outside; /* one is negative, or not below the bound */
    bool falls;   /* one is smaller than the one before it */
};

/* A number is outside if it or the way from it to the last that is allowed is negative; both
 * fit, as the last is not negative. Sums of unsigned numbers, so that compilers make vectors
 * of them on any machine. */
/* clang-format off */
#define LOOKS(bits)                                                                       \
    WIDE                                                                                  \
    static void bounds##bits(const uint##bits##_t *numbers, size_t count,                 \
                             uint##bits##_t last, struct found *found)                    \
    {                                                                                     \
        uint##bits##_t any = 0;                                                           \
                                                                                          \
        for (size_t i = 0; i < count; i++)                                                \
            any |= numbers[i] | (last - numbers[i]);                                      \
        found->outside |= any >> (bits - 1) != 0;                                         \
    }                                                                                     \
                                                                                          \
    WIDE                                                                                  \
    static void order##bits(const int##bits##_t *numbers, size_t count,                   \
                            struct found *found)                                          \
    {                                                                                     \
        int##bits##_t falls = 0;                                                          \
                                                                                          \
        for (size_t i = 1; i < count; i++)                                                \
            falls |= numbers[i] < numbers[i - 1];                                         \
        found->falls |= falls != 0;                                                       \
    }
/* clang-format on */

LOOKS(32)
LOOKS(64)

static void look(const void *at, size_t bytes, size_t size, int64_t last,
                 struct found *found)
{
    if (size == 8)
        bounds64(at, bytes / 8, (uint64_t)last, found);
    else
        bounds32(at, bytes / 4, (uint32_t)(last < INT32_MAX ? last : INT32_MAX), found);
}

/* The one before @p at counts, too, unless these are the first. */
static void look_at_order(const char *at, size_t bytes, size_t size, bool first,
                          struct found *found)
{
    const void *from = first ? at : at - size;
    size_t count = bytes / size + !first;

    if (size == 8)
        order64(from, count, found);
    else
        order32(from, count, found);
}

static struct found copy_and_look(void *to, const char *from, size_t bytes, size_t size,
                                  int64_t bound, bool order)
{
    struct found found = {bound <= 0 && bytes, false};
    char *at = to;

    for (size_t left = bytes; left > 0;) {
        size_t piece = left < BLOCK ? left : BLOCK;

        memcpy(at, from, piece);
        if (bound > 0)
            look(at, piece, size, bound - 1, &found);
        if (order)
            look_at_order(at, piece, size, at == (char *)to, &found);
        at += piece;
        from += piece;
        left -= piece;
    }
    return found;
}

/* private_indices(part, itemsize, bound, order) -> (bytearray, whether one is not in
 * range(bound), whether one is smaller than the one before it, if that is asked for). */
PyObject *private_indices(PyObject *module, PyObject *args)
{
    PyObject *part, *copy, *result = NULL;
    Py_buffer buffer;
    struct found found;
    long long bound;
    int size, order;

    (void)module;
    if (!PyArg_ParseTuple(args, "OiLp:private_indices", &part, &size, &bound, &order) ||
        PyObject_GetBuffer(part, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    if ((size != 4 && size != 8) || buffer.len % size) {
        PyErr_SetString(PyExc_ValueError, "indices have 4 or 8 bytes");
        PyBuffer_Release(&buffer);
        return NULL;
    }
    copy = PyByteArray_FromStringAndSize(NULL, buffer.len);
    if (copy) {
        found = copy_and_look(PyByteArray_AsString(copy), buffer.buf, (size_t)buffer.len,
                              (size_t)size, bound, order);
        result = Py_BuildValue("(NOO)", copy, found.outside ? Py_True : Py_False,
                               found.falls ? Py_True : Py_False);
    }
    PyBuffer_Release(&buffer);
    return result;
}
