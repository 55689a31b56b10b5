/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <stdlib.h>

/* Sent to a queue and received again, so that it has been written and read back. */
static tr_message *round_trip(tr_arena *arena, tr_message *message)
{
    tr_queue *queue;

    assert_ok(tr_queue_open(arena, "round", NULL, &queue));
    assert_ok(tr_queue_send(queue, message, TR_NOWAIT));
    assert_ok(tr_queue_receive(queue, TR_NOWAIT, &message));
    tr_queue_close(queue);
    return message;
}

static const tr_dtype every_dtype[] = {
    {TR_DTYPE_INT, 8, 1},
    {TR_DTYPE_INT, 64, 1},
    {TR_DTYPE_UINT, 16, 1},
    {TR_DTYPE_FLOAT, 16, 1},
    {TR_DTYPE_FLOAT, 64, 1},
    {TR_DTYPE_FLOAT, 32, 4},
    {TR_DTYPE_BFLOAT, 16, 1},
    {TR_DTYPE_COMPLEX, 64, 1},
    {TR_DTYPE_COMPLEX, 128, 1},
    {TR_DTYPE_BOOL, 8, 1},
    {TR_DTYPE_OPAQUE, 24, 1},
    {TR_DTYPE_FLOAT8_E3M4, 8, 1},
    {TR_DTYPE_FLOAT8_E4M3, 8, 1},
    {TR_DTYPE_FLOAT8_E4M3B11FNUZ, 8, 1},
    {TR_DTYPE_FLOAT8_E4M3FN, 8, 1},
    {TR_DTYPE_FLOAT8_E4M3FNUZ, 8, 1},
    {TR_DTYPE_FLOAT8_E5M2, 8, 1},
    {TR_DTYPE_FLOAT8_E5M2FNUZ, 8, 1},
    {TR_DTYPE_FLOAT8_E8M0FNU, 8, 1},
    {TR_DTYPE_FLOAT6_E2M3FN, 6, 1},
    {TR_DTYPE_FLOAT6_E3M2FN, 6, 1},
    {TR_DTYPE_FLOAT4_E2M1FN, 4, 2},
};

static void carries_every_dtype(void **state)
{
    tr_arena *arena = make_arena(4, 4);
    int64_t shape[] = {3, 5};
    (void)state;

    for (size_t i = 0; i < sizeof(every_dtype) / sizeof(*every_dtype); i++) {
        tr_tensor_spec spec = {.dtype = every_dtype[i], .ndim = 2, .shape = shape};
        const tr_tensor *tensor;
        tr_message *message;
        uint64_t nbytes;

        assert_ok(tr_tensor_nbytes(every_dtype[i], 2, shape, &nbytes));
        assert_ok(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message));
        memset(tr_message_tensor(message, 0)->data, (int)i + 1, nbytes);
        message = round_trip(arena, message);
        tensor = tr_message_tensor(message, 0);
        assert_memory_equal(&tensor->dtype, &every_dtype[i], sizeof(tr_dtype));
        assert_int_equal(tensor->nbytes, nbytes);
        assert_int_equal(tensor->shape[1], 5);
        assert_int_equal(tensor->strides[0], 5);
        assert_int_equal(tensor->strides[1], 1);
        assert_int_equal((uintptr_t)tensor->data % TR_TENSOR_ALIGN, 0);
        for (uint64_t b = 0; b < nbytes; b++)
            assert_int_equal(((uint8_t *)tensor->data)[b], i + 1);
        tr_message_release(message);
    }
    tr_arena_close(arena);
}

static void carries_every_rank(void **state)
{
    tr_arena *arena = make_arena(4, 4);
    int64_t shape[TR_MAX_NDIM + 1];
    tr_message *message;
    (void)state;

    for (uint32_t i = 0; i < TR_MAX_NDIM + 1; i++)
        shape[i] = i % 7 == 0 ? 2 : 1;
    for (uint32_t ndim = 0; ndim <= TR_MAX_NDIM; ndim++) {
        for (uint32_t f = 0; f < 2; f++) {
            tr_tensor_spec spec = {.dtype = {TR_DTYPE_FLOAT, 32, 1},
                                   .ndim = ndim,
                                   .shape = shape,
                                   .flags = f ? TR_TENSOR_F_ORDER : 0};
            const tr_tensor *tensor;

            assert_ok(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message));
            message = round_trip(arena, message);
            tensor = tr_message_tensor(message, 0);
            assert_int_equal(tensor->ndim, ndim);
            assert_int_equal(tensor->flags, spec.flags);
            for (uint32_t d = 0; d < ndim; d++)
                assert_int_equal(tensor->shape[d], shape[d]);
            if (ndim)
                assert_int_equal(tensor->strides[f ? 0 : ndim - 1], 1);
            tr_message_release(message);
        }
    }
    assert_int_equal(tr_message_loan(arena,
                                     &(tr_tensor_spec){.dtype = {TR_DTYPE_FLOAT, 32, 1},
                                                       .ndim = TR_MAX_NDIM + 1,
                                                       .shape = shape},
                                     1, TR_NOWAIT, &message),
                     TR_EINVAL);
    assert_detail("17");
    tr_arena_close(arena);
}

static void carries_empty_and_scalar(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    int64_t none[] = {3, 0, 5};
    tr_tensor_spec empty = {.dtype = {TR_DTYPE_FLOAT, 64, 1}, .ndim = 3, .shape = none};
    tr_tensor_spec scalar = {.dtype = {TR_DTYPE_FLOAT, 64, 1}};
    tr_message *message;
    (void)state;

    assert_ok(tr_message_loan(arena, &empty, 1, TR_NOWAIT, &message));
    message = round_trip(arena, message);
    assert_null(tr_message_tensor(message, 0)->data);
    assert_int_equal(tr_message_tensor(message, 0)->shape[2], 5);
    tr_message_release(message);
    assert_ok(tr_message_loan(arena, &scalar, 1, TR_NOWAIT, &message));
    *(double *)tr_message_tensor(message, 0)->data = 2.5;
    message = round_trip(arena, message);
    assert_true(*(double *)tr_message_tensor(message, 0)->data == 2.5);
    tr_message_release(message);
    assert_ok(tr_message_loan(arena, NULL, 0, TR_NOWAIT, &message)); /* only a header */
    message = round_trip(arena, message);
    assert_int_equal(tr_message_count(message), 0);
    assert_null(tr_message_tensor(message, 0));
    tr_message_release(message);
    tr_arena_close(arena);
}

/* The handle of a slot remembers what it checked last: it must not remember too much. */
static void forgets_the_message_before(void **state)
{
    tr_arena *arena = make_arena(1, 0);
    int64_t shapes[][2] = {{2, 3}, {3, 2}, {6, 1}, {2, 3}};
    tr_dtype dtypes[] = {{TR_DTYPE_FLOAT, 32, 1}, {TR_DTYPE_INT, 32, 1}};
    (void)state;

    for (int i = 0; i < 32; i++) {
        tr_tensor_spec spec = {.dtype = dtypes[i / 4 % 2],
                               .ndim = 2,
                               .shape = shapes[i % 4],
                               .name = i % 3 == 0 ? "name" : NULL,
                               .flags = i % 5 == 0 ? TR_TENSOR_F_ORDER : 0};
        const tr_tensor *tensor;
        tr_message *message;

        assert_ok(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message));
        message = round_trip(arena, message);
        tensor = tr_message_tensor(message, 0);
        assert_int_equal(tensor->dtype.code, spec.dtype.code);
        assert_int_equal(tensor->shape[0], spec.shape[0]);
        assert_int_equal(tensor->strides[spec.flags ? 1 : 0],
                         spec.shape[spec.flags ? 0 : 1]);
        assert_string_equal(tensor->name, spec.name ? spec.name : "");
        assert_int_equal(tensor->flags, spec.flags);
        tr_message_release(message);
    }
    tr_arena_close(arena);
}

#define MANY 100

static void carries_many_named_tensors(void **state)
{
    tr_arena *arena = make_arena(1, 4);
    tr_tensor_spec specs[MANY];
    char names[MANY][TR_MAX_TENSOR_NAME + 1];
    int64_t shapes[MANY];
    tr_message *message;
    (void)state;

    for (int i = 0; i < MANY; i++) {
        shapes[i] = i;
        snprintf(names[i], sizeof(names[i]), "%0*d", i + 3, i);
        specs[i] = (tr_tensor_spec){.dtype = {TR_DTYPE_INT, 64, 1},
                                    .ndim = 1,
                                    .shape = &shapes[i],
                                    .name = names[i],
                                    .descr = i % 2 ? "<M8[ns]" : NULL};
    }
    assert_ok(tr_message_loan(arena, specs, MANY, TR_NOWAIT, &message));
    for (int64_t i = 0; i < MANY; i++)
        for (int64_t k = 0; k < i; k++)
            ((int64_t *)tr_message_tensor(message, (size_t)i)->data)[k] = i * 1000 + k;
    message = round_trip(arena, message);
    assert_int_equal(tr_message_count(message), MANY);
    for (int64_t i = 0; i < MANY; i++) {
        const tr_tensor *tensor = tr_message_find(message, names[i]);

        assert_ptr_equal(tensor, tr_message_tensor(message, (size_t)i));
        assert_string_equal(tensor->descr, i % 2 ? "<M8[ns]" : "");
        for (int64_t k = 0; k < i; k++)
            assert_int_equal(((int64_t *)tensor->data)[k], i * 1000 + k);
    }
    assert_null(tr_message_find(message, "nobody"));
    tr_message_release(message);
    tr_arena_close(arena);
}

static void takes_the_smallest_class_that_fits(void **state)
{
    tr_arena *arena = make_arena(1, 1);
    tr_message *small, *large, *none;
    (void)state;

    assert_ok(tr_message_loan_bytes(arena, 256, TR_NOWAIT,
                                    &small)); /* all of it is the user's */
    assert_int_equal(tr_message_loan_bytes(arena, 1, TR_NOWAIT, &none), TR_EAGAIN);
    assert_detail("holds 1");
    assert_ok(tr_message_loan_bytes(arena, 257, TR_NOWAIT, &large));
    assert_int_equal(tr_message_loan_bytes(arena, 65537, TR_NOWAIT, &none), TR_EMSGSIZE);
    assert_detail("65537");
    assert_int_equal(tr_message_loan_bytes(arena, 1, 1000000, &none), TR_ETIMEDOUT);
    tr_message_release(small);
    tr_message_release(small); /* harmless: it is no longer ours */
    tr_message_release(large);
    tr_message_release(NULL);
    assert_int_equal(stats_of(arena).slots_free, 2);
    tr_arena_close(arena);
}

static void refuses_bad_specs(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    int64_t huge[] = {INT64_MAX / 2, 4}, negative[] = {-1}, one = 1;
    char name[TR_MAX_TENSOR_NAME + 2], descr[TR_MAX_DESCR + 2];
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_FLOAT, 64, 1}, .ndim = 2, .shape = huge};
    tr_message *message;
    (void)state;

    assert_int_equal(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message), TR_EOVERFLOW);
    spec = (tr_tensor_spec){
        .dtype = {TR_DTYPE_FLOAT, 64, 1}, .ndim = 1, .shape = negative};
    assert_int_equal(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message), TR_EINVAL);
    spec = (tr_tensor_spec){.dtype = {TR_DTYPE_FLOAT, 13, 1}, .ndim = 1, .shape = &one};
    assert_int_equal(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message), TR_EINVAL);
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    spec = (tr_tensor_spec){
        .dtype = {TR_DTYPE_FLOAT, 64, 1}, .ndim = 1, .shape = &one, .name = name};
    assert_int_equal(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message),
                     TR_ENAMETOOLONG);
    memset(descr, 'd', sizeof(descr) - 1);
    descr[sizeof(descr) - 1] = 0;
    spec = (tr_tensor_spec){
        .dtype = {TR_DTYPE_FLOAT, 64, 1}, .ndim = 1, .shape = &one, .descr = descr};
    assert_int_equal(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message),
                     TR_ENAMETOOLONG);
    assert_int_equal(
        tr_message_loan(arena, &spec, TR_MAX_TENSORS + 1, TR_NOWAIT, &message),
        TR_EINVAL);
    assert_int_equal(stats_of(arena).slots_free, 4);
    tr_arena_close(arena);
}

/* What a bridge has said of a message stays with it, and does not stay in the slot. */
static void carries_its_origin(void **state)
{
    static const char *const names[] = {NULL, "x"};
    tr_slot_class class = {4096, 1};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;
    const tr_origin from = {sizeof(from), 0, UINT64_MAX, 5}, nowhere = TR_ORIGIN_INIT;
    tr_origin origin = TR_ORIGIN_INIT;
    const int64_t shape[] = {3};
    (void)state;

    options.classes = &class;
    options.class_count = 1;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    for (size_t count = 0; count < 4; count++) {
        tr_tensor_spec one = {.dtype = {TR_DTYPE_INT, 64, 1}, .ndim = 1, .shape = shape};
        tr_tensor_spec specs[] = {one, one, one};
        tr_message *message;

        specs[0].name = names[count % 2];
        specs[1].name = "second", specs[2].name = "third";
        assert_ok(tr_message_loan(arena, specs, count, TR_NOWAIT, &message));
        assert_int_equal(tr_message_origin_get(message, &origin), TR_ENOENT);
        assert_detail("this arena");
        assert_int_equal(tr_message_origin_set(message, &nowhere), TR_EINVAL);
        assert_detail("source is 0");
        assert_ok(tr_message_origin_set(message, &from));
        message = round_trip(arena, message);
        message = round_trip(arena, message); /* sent on */
        assert_ok(tr_message_origin_get(message, &origin));
        assert_memory_equal(&origin, &from, sizeof(origin));
        assert_int_equal(tr_message_count(message), count);
        if (count)
            assert_string_equal(tr_message_tensor(message, 0)->name,
                                names[count % 2] ? names[count % 2] : "");
        tr_message_release(message);
    }
    tr_arena_close(arena);
}

static void carries_the_header(void **state)
{
    tr_arena *arena = make_arena(1, 0);
    tr_header in = TR_HEADER_INIT, out = {.struct_size = sizeof(out)};
    tr_message *message = loan_i64(arena, 4, 1);
    (void)state;

    in.content = TR_CONTENT_OTHER;
    in.correlation_id = 77;
    in.deadline_ns = 123456789;
    memset(in.user, 9, sizeof(in.user));
    strcpy(in.content_type, "application/x-mine");
    assert_ok(tr_message_header_set(message, &in));
    message = round_trip(arena, message);
    assert_ok(tr_message_header_get(message, &out));
    assert_int_equal(out.content, TR_CONTENT_OTHER);
    assert_int_equal(out.correlation_id, 77);
    assert_int_equal(out.deadline_ns, 123456789);
    assert_memory_equal(out.user, in.user, sizeof(in.user));
    assert_string_equal(out.content_type, "application/x-mine");
    assert_int_equal(out.has_crc, 0);
    memset(in.content_type, 'x', sizeof(in.content_type));
    assert_int_equal(tr_message_header_set(message, &in), TR_EINVAL);
    tr_message_release(message);

    message = round_trip(arena, loan_i64(arena, 4, 1)); /* the same slot: all is gone */
    assert_ok(tr_message_header_get(message, &out));
    assert_int_equal(out.content, TR_CONTENT_TENSORS);
    assert_int_equal(out.correlation_id, 0);
    assert_int_equal(out.user[0], 0);
    assert_string_equal(out.content_type, "");
    out.struct_size = 4;
    assert_int_equal(tr_message_header_get(message, &out), TR_EINVAL);
    tr_message_release(message);
    tr_arena_close(arena);
}

static void seals_and_verifies(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_header header = TR_HEADER_INIT;
    tr_message *message;
    (void)state;

    assert_ok(tr_message_loan_bytes(arena, 9, TR_NOWAIT, &message));
    memcpy(tr_message_tensor(message, 0)->data, "123456789", 9);
    assert_ok(tr_message_seal(message));
    message = round_trip(arena, message);
    assert_ok(tr_message_header_get(message, &header));
    assert_int_equal(header.crc32c, 0xe3069283); /* the check value of CRC-32C */
    assert_ok(tr_message_verify(message));
    ((char *)tr_message_tensor(message, 0)->data)[3] ^= 1;
    assert_int_equal(tr_message_verify(message), TR_ECHECKSUM);
    assert_detail("e3069283");
    tr_message_release(message);
    assert_int_equal(tr_message_seal(message), TR_EINVAL);
    tr_arena_close(arena);
}

static void arena_wide_checksums(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_header header = TR_HEADER_INIT;
    tr_message *message;
    tr_arena *arena;
    (void)state;

    options.flags = TR_ARENA_CRC32C;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    message = round_trip(arena, loan_i64(arena, 100, 5));
    assert_ok(tr_message_header_get(message, &header));
    assert_int_equal(header.has_crc, 1);
    assert_ptr_equal(tr_message_arena(message), arena);
    tr_message_release(message);
    tr_arena_close(arena);
}

#ifdef TR_INSTRUMENTED
#define ROUNDS 2000
#else
#define ROUNDS 100000
#endif

static size_t allocations;

/* The linker sends every call of the library and of this program here (--wrap). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    return __real_realloc(old, size);
}

static void allocates_nothing_when_warm(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_queue *queue;
    tr_message *message;
    size_t before;
    (void)state;

    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_true(allocations > 0); /* the arena's handle: they are counted */
    before = allocations;
    for (int64_t i = 0; i < ROUNDS; i++) {
        message = loan_i64(arena, 4, i);
        assert_int_equal(tr_queue_send(queue, message, TR_NOWAIT), 0);
        assert_int_equal(tr_queue_receive(queue, TR_NOWAIT, &message), 0);
        tr_message_release(message);
    }
    assert_int_equal(allocations, before);
    assert_int_equal(stats_of(arena).wakes, 0);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_every_dtype),
        cmocka_unit_test(carries_every_rank),
        cmocka_unit_test(carries_empty_and_scalar),
        cmocka_unit_test(forgets_the_message_before),
        cmocka_unit_test(carries_many_named_tensors),
        cmocka_unit_test(takes_the_smallest_class_that_fits),
        cmocka_unit_test(refuses_bad_specs),
        cmocka_unit_test(carries_its_origin),
        cmocka_unit_test(carries_the_header),
        cmocka_unit_test(seals_and_verifies),
        cmocka_unit_test(arena_wide_checksums),
        cmocka_unit_test(allocates_nothing_when_warm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
