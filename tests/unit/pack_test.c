/* SPDX-License-Identifier: MIT */
#include "src/base/error.h"
#include "src/tensor/tensor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static tr_tensor tensor_of(tr_dtype dtype, uint32_t ndim, const int64_t *shape,
                           uint32_t flags)
{
    tr_tensor t = {
        .dtype = dtype, .ndim = ndim, .flags = flags, .name = "x", .descr = ""};

    for (uint32_t i = 0; i < ndim; i++)
        t.shape[i] = shape[i];
    assert_int_equal(tr_tensor_nbytes(dtype, ndim, shape, &t.nbytes), 0);
    packed_strides(ndim, shape, flags & TR_TENSOR_F_ORDER, t.strides);
    /* A block of just that size, so that a sanitizer sees a write beyond. */
    t.data = t.nbytes ? malloc(t.nbytes) : NULL;
    return t;
}

/* Element by element, from the definition of a stride. */
static void check_naively(const tr_tensor *t, const unsigned char *from,
                          const int64_t *strides)
{
    int64_t index[TR_MAX_NDIM] = {0};
    size_t element = tr_dtype_bytes(t->dtype);

    for (;;) {
        int64_t there = 0, here = 0;
        uint32_t i;

        for (i = 0; i < t->ndim; i++) {
            there += index[i] * strides[i];
            here += index[i] * t->strides[i] * (int64_t)element;
        }
        if (memcmp((unsigned char *)t->data + here, from + there, element) != 0)
            fail_msg("element at byte %lld differs", (long long)here);
        for (i = 0; i < t->ndim && ++index[i] == t->shape[i]; i++)
            index[i] = 0;
        if (i == t->ndim)
            return;
    }
}

struct source {
    unsigned char *block;
    unsigned char *origin; /* element 0, 0, ... */
};

/* A block in which every index lies, whatever the signs of the strides. */
static struct source source_for(const tr_tensor *t, const int64_t *strides)
{
    int64_t low = 0, high = (int64_t)tr_dtype_bytes(t->dtype);
    struct source s;

    for (uint32_t i = 0; i < t->ndim; i++) {
        int64_t reach = (t->shape[i] - 1) * strides[i];

        *(reach < 0 ? &low : &high) += reach;
    }
    s.block = malloc((size_t)(high - low));
    assert_non_null(s.block);
    for (int64_t i = 0; i < high - low; i++)
        s.block[i] = (unsigned char)random();
    s.origin = s.block - low;
    return s;
}

static void fill_and_check(tr_dtype dtype, uint32_t ndim, const int64_t *shape,
                           const int64_t *strides)
{
    for (uint32_t flags = 0; flags <= TR_TENSOR_F_ORDER; flags++) {
        tr_tensor t = tensor_of(dtype, ndim, shape, flags);
        struct source s = source_for(&t, strides);

        assert_int_equal(tr_tensor_fill(&t, s.origin, strides), 0);
        check_naively(&t, s.origin, strides);
        free(s.block);
        free(t.data);
    }
}

static const tr_dtype float32 = {TR_DTYPE_FLOAT, 32, 1};

static void a_transposed_array_is_packed(void **state)
{
    const float rows[2][3] = {{1, 2, 3}, {4, 5, 6}};
    const int64_t shape[] = {3, 2}, strides[] = {4, 12};
    const float as_c[] = {1, 4, 2, 5, 3, 6};
    tr_tensor t = tensor_of(float32, 2, shape, 0);

    (void)state;
    assert_int_equal(tr_tensor_fill(&t, rows, strides), 0);
    assert_memory_equal(t.data, as_c, sizeof(as_c));
    t.flags = TR_TENSOR_F_ORDER; /* then the bytes lie as they should already */
    assert_int_equal(tr_tensor_fill(&t, rows, strides), 0);
    assert_memory_equal(t.data, rows, sizeof(rows));
    free(t.data);
}

static void reversed_repeated_and_skipped_elements(void **state)
{
    const float line[] = {0, 1, 2, 3, 4, 5};
    const int64_t six[] = {6}, three[] = {3};
    tr_tensor t = tensor_of(float32, 1, six, 0);

    (void)state;
    assert_int_equal(tr_tensor_fill(&t, line + 5, (int64_t[]){-4}), 0);
    assert_memory_equal(t.data, ((float[]){5, 4, 3, 2, 1, 0}), 24);
    assert_int_equal(tr_tensor_fill(&t, line + 2, (int64_t[]){0}), 0);
    assert_memory_equal(t.data, ((float[]){2, 2, 2, 2, 2, 2}), 24);
    free(t.data);
    t = tensor_of(float32, 1, three, 0);
    assert_int_equal(tr_tensor_fill(&t, line, (int64_t[]){8}), 0);
    assert_memory_equal(t.data, ((float[]){0, 2, 4}), 12);
    free(t.data);
}

static void null_strides_mean_packed(void **state)
{
    const float line[] = {1, 2, 3, 4, 5, 6};
    tr_tensor t = tensor_of(float32, 2, (int64_t[]){2, 3}, TR_TENSOR_F_ORDER);

    (void)state;
    assert_int_equal(tr_tensor_fill(&t, line, NULL), 0);
    assert_memory_equal(t.data, line, sizeof(line));
    free(t.data);
    /* Types under a byte as well. */
    t = tensor_of((tr_dtype){TR_DTYPE_INT, 4, 1}, 1, (int64_t[]){7}, 0);
    assert_int_equal(tr_tensor_fill(&t, "\x12\x34\x56\x07", NULL), 0);
    assert_memory_equal(t.data, "\x12\x34\x56\x07", 4);
    free(t.data);
}

static void scalars_and_empty_arrays(void **state)
{
    const int64_t strides[] = {400, -8};
    const float pi = 3.14F;
    tr_tensor t = tensor_of(float32, 0, NULL, 0);

    (void)state;
    assert_int_equal(tr_tensor_fill(&t, &pi, strides), 0);
    assert_memory_equal(t.data, &pi, sizeof(pi));
    free(t.data);
    t = tensor_of(float32, 2, (int64_t[]){0, 3}, 0);
    assert_null(t.data);
    assert_int_equal(tr_tensor_fill(&t, NULL, strides), 0);
    assert_int_equal(tr_tensor_fill(&t, NULL, NULL), 0);
    /* The stride of a dimension of one element is never used. */
    t = tensor_of(float32, 2, (int64_t[]){1, 1}, 0);
    assert_int_equal(tr_tensor_fill(&t, &pi, (int64_t[]){INT64_MIN, INT64_MAX}), 0);
    assert_memory_equal(t.data, &pi, sizeof(pi));
    free(t.data);
}

static void what_cannot_be_filled_is_refused(void **state)
{
    const float line[6] = {0};
    tr_tensor t = tensor_of(float32, 1, (int64_t[]){6}, 0);

    (void)state;
    assert_int_equal(tr_tensor_fill(NULL, line, NULL), TR_EINVAL);
    assert_int_equal(tr_tensor_fill(&t, NULL, NULL), TR_EINVAL);
    t.flags = TR_TENSOR_READ_ONLY;
    assert_int_equal(tr_tensor_fill(&t, line, NULL), TR_EINVAL);
    assert_non_null(strstr(tr_error_detail(), "\"x\" is read-only"));
    free(t.data);
    t = tensor_of((tr_dtype){TR_DTYPE_INT, 4, 1}, 1, (int64_t[]){4}, 0);
    assert_int_equal(tr_tensor_fill(&t, line, (int64_t[]){1}), TR_EINVAL);
    assert_non_null(strstr(tr_error_detail(), "int4"));
    free(t.data);
    /* Two lanes of 4 bits are a byte, which has an address. */
    t = tensor_of((tr_dtype){TR_DTYPE_FLOAT4_E2M1FN, 4, 2}, 1, (int64_t[]){3}, 0);
    assert_int_equal(tr_tensor_fill(&t, "a.b.c", (int64_t[]){2}), 0);
    assert_memory_equal(t.data, "abc", 3);
    free(t.data);
}

static void dimensions_of_each_kind_merge(void **state)
{
    const int64_t shape[] = {4, 3, 5};
    const tr_dtype dtype = {TR_DTYPE_INT, 16, 1};

    (void)state;
    fill_and_check(dtype, 3, shape, (int64_t[]){30, 10, 2});    /* C */
    fill_and_check(dtype, 3, shape, (int64_t[]){2, 8, 24});     /* Fortran */
    fill_and_check(dtype, 3, shape, (int64_t[]){60, 10, 2});    /* inner two */
    fill_and_check(dtype, 3, shape, (int64_t[]){60, 20, 4});    /* all, with a step */
    fill_and_check(dtype, 3, shape, (int64_t[]){-30, -10, -2}); /* all, backwards */
    fill_and_check(dtype, 3, shape, (int64_t[]){30, -10, 2});
    fill_and_check(dtype, 3, shape, (int64_t[]){0, 0, 2});
    fill_and_check(dtype, 3, shape, (int64_t[]){0, 0, 0});
    fill_and_check(dtype, 3, shape, (int64_t[]){7, 1, 3}); /* overlapping, unaligned */
}

static void a_large_array_is_packed(void **state)
{
    const int64_t shape[] = {300, 700};

    (void)state;
    fill_and_check((tr_dtype){TR_DTYPE_FLOAT, 64, 1}, 2, shape, (int64_t[]){5600, 8});
    fill_and_check((tr_dtype){TR_DTYPE_FLOAT, 64, 1}, 2, shape, (int64_t[]){8, 2400});
    fill_and_check((tr_dtype){TR_DTYPE_FLOAT, 64, 1}, 2, shape, (int64_t[]){5608, 8});
}

/* Longer than a tile in both directions, with a rest, in every size of element. */
static void transpositions_go_tile_by_tile(void **state)
{
    static const tr_dtype dtypes[] = {{TR_DTYPE_OPAQUE, 8, 1},  {TR_DTYPE_OPAQUE, 16, 1},
                                      {TR_DTYPE_OPAQUE, 24, 1}, {TR_DTYPE_OPAQUE, 32, 1},
                                      {TR_DTYPE_OPAQUE, 64, 1}, {TR_DTYPE_OPAQUE, 128, 1},
                                      {TR_DTYPE_OPAQUE, 32, 20}};
    const int64_t shape[] = {3, 131, 70};

    (void)state;
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        const tr_dtype dtype = dtypes[i];
        const int64_t one = (int64_t)tr_dtype_bytes(dtype), plane = 131 * 70 * one;

        fill_and_check(dtype, 3, shape, (int64_t[]){plane, one, 131 * one});
        fill_and_check(dtype, 3, shape, (int64_t[]){one, 210 * one, 3 * one});
        fill_and_check(dtype, 3, shape, (int64_t[]){-plane, -one, 131 * one});
        fill_and_check(dtype, 3, shape, (int64_t[]){0, 2 * one, -262 * one});
    }
}

/* A permuted, sometimes padded, sometimes reversed array; or just any strides. */
static void random_strides(uint32_t ndim, const int64_t *shape, int64_t element,
                           int64_t *strides)
{
    uint32_t order[TR_MAX_NDIM];
    int64_t step = element;
    int wild = random() % 4 == 0;

    for (uint32_t i = 0; i < ndim; i++)
        order[i] = i;
    for (uint32_t i = ndim; random() % 2 && i > 1; i--) {
        uint32_t j = (uint32_t)random() % i, swap = order[i - 1];

        order[i - 1] = order[j];
        order[j] = swap;
    }
    for (uint32_t i = ndim; i-- > 0;) {
        uint32_t dim = order[i];

        strides[dim] = wild ? random() % 129 - 64 : step;
        if (random() % 8 == 0)
            strides[dim] = -strides[dim];
        step *= shape[dim];
        if (random() % 8 == 0)
            step += element;
    }
}

static void any_strides_equal_the_naive_copy(void **state)
{
    static const uint8_t sizes[] = {1, 2, 3, 4, 5, 8, 12, 16, 24};
    unsigned seed = (unsigned)time(NULL);
    int rounds = 5000;

#ifdef TR_INSTRUMENTED
    rounds = 500;
#endif
    (void)state;
    print_message("seed %u\n", seed);
    srandom(seed);
    for (int round = 0; round < rounds; round++) {
        uint8_t element = sizes[(size_t)random() % sizeof(sizes)];
        uint32_t ndim = (uint32_t)random() % (TR_MAX_NDIM + 1);
        int64_t shape[TR_MAX_NDIM], strides[TR_MAX_NDIM], elements = 1;

        for (uint32_t i = 0; i < ndim; i++) {
            shape[i] = 1 + random() % (elements > 500 ? 1 : ndim > 4 ? 3 : 7);
            elements *= shape[i];
        }
        random_strides(ndim, shape, element, strides);
        fill_and_check((tr_dtype){TR_DTYPE_OPAQUE, (uint8_t)(8 * element), 1}, ndim,
                       shape, strides);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transposed_array_is_packed),
        cmocka_unit_test(reversed_repeated_and_skipped_elements),
        cmocka_unit_test(null_strides_mean_packed),
        cmocka_unit_test(scalars_and_empty_arrays),
        cmocka_unit_test(what_cannot_be_filled_is_refused),
        cmocka_unit_test(dimensions_of_each_kind_merge),
        cmocka_unit_test(a_large_array_is_packed),
        cmocka_unit_test(transpositions_go_tile_by_tile),
        cmocka_unit_test(any_strides_equal_the_naive_copy),
    };

    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
