/* SPDX-License-Identifier: MIT */
/* indices.c - a private copy of index arrays that lie in shared memory, checked after it was
 * made: the sender may write to the slot at any time. */
#include "core.h"

#define BLOCK 4096 /* bytes that are looked at while they are in the nearest cache */

/* Of what was copied. */
struct found {
    int64_t most;
    bool negative;
    bool falls; /* one is smaller than the one before it */
};

/* clang-format off */
#define LOOKS(bits)                                                                       \
    static void bounds##bits(const int##bits##_t *numbers, size_t count,                  \
                             struct found *found)                                         \
    {                                                                                     \
        int##bits##_t most = 0, any = 0;                                                  \
                                                                                          \
        for (size_t i = 0; i < count; i++) {                                              \
            most = numbers[i] > most ? numbers[i] : most;                                 \
            any |= numbers[i];                                                            \
        }                                                                                 \
        found->most = most > found->most ? most : found->most;                            \
        found->negative |= any < 0;                                                       \
    }                                                                                     \
                                                                                          \
    static void order##bits(const int##bits##_t *numbers, size_t count,                   \
                            struct found *found)                                          \
    {                                                                                     \
        int##bits##_t falls = 0;                                                          \
                                                                                          \
        for (size_t i = 1; i < count; i++)                                                \
            falls |= numbers[i] < numbers[i - 1];                                         \
        found->falls = falls != 0;                                                        \
    }
/* clang-format on */

LOOKS(32)
LOOKS(64)

static struct found copy_and_look(void *to, const char *from, size_t bytes, size_t size,
                                  bool order)
{
    struct found found = {0, false, false};
    char *at = to;

    for (size_t left = bytes; left > 0;) {
        size_t piece = left < BLOCK ? left : BLOCK;

        memcpy(at, from, piece);
        if (size == 4)
            bounds32((const int32_t *)(const void *)at, piece / 4, &found);
        else
            bounds64((const int64_t *)(const void *)at, piece / 8, &found);
        at += piece;
        from += piece;
        left -= piece;
    }
    if (order && size == 4)
        order32(to, bytes / 4, &found);
    else if (order)
        order64(to, bytes / 8, &found);
    return found;
}

/* private_indices(part, itemsize, order) -> (bytearray, the largest, whether one is smaller than
 * the one before it, if that is asked for). What is negative counts as large. */
PyObject *private_indices(PyObject *module, PyObject *args)
{
    PyObject *part, *copy, *result = NULL;
    Py_buffer buffer;
    struct found found;
    int size, order;

    (void)module;
    if (!PyArg_ParseTuple(args, "Oip:private_indices", &part, &size, &order) ||
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
                              (size_t)size, order);
        result = Py_BuildValue(
            "(NKO)", copy, found.negative ? UINT64_MAX : (unsigned long long)found.most,
            found.falls ? Py_True : Py_False);
    }
    PyBuffer_Release(&buffer);
    return result;
}
