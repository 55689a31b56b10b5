/* SPDX-License-Identifier: MIT */
/* support.h - what most unit tests need: cmocka, an arena, a message that is full. */
#ifndef TR_TESTS_UNIT_SUPPORT_H
#define TR_TESTS_UNIT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tensoring/tensoring.h>

/* The call, and why it failed, if it did. */
#define assert_ok(call)                                                              \
    do {                                                                             \
        int result_ = (call);                                                        \
        if (result_)                                                                 \
            fail_msg("%s: %s (%s)", #call, tr_strerror(result_), tr_error_detail()); \
    } while (0)

#define assert_detail(part)                                                         \
    do {                                                                            \
        if (!strstr(tr_error_detail(), part))                                       \
            fail_msg("detail \"%s\" does not say \"%s\"", tr_error_detail(), part); \
    } while (0)

/* Open descriptors of this process: for tests that must leave none behind. */
static inline int descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    while (directory && readdir(directory))
        count++;
    if (directory)
        closedir(directory);
    return count;
}

/* An anonymous arena: @p small slots of 256 bytes, @p large of 64 KiB. */
static inline tr_arena *make_arena(uint64_t small, uint64_t large)
{
    tr_slot_class classes[] = {{256, small}, {65536, large}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;

    options.classes = classes;
    options.class_count = large ? 2 : 1;
    options.max_participants = 8;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    return arena;
}

static inline tr_message *loan_i64(tr_arena *arena, int64_t count, int64_t first)
{
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_INT, 64, 1}, .ndim = 1, .shape = &count};
    tr_message *message;
    int64_t *data;

    assert_ok(tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message));
    data = tr_message_tensor(message, 0)->data;
    for (int64_t i = 0; i < count; i++)
        data[i] = first + i;
    return message;
}

static inline int64_t first_i64(const tr_message *message)
{
    return *(int64_t *)tr_message_tensor(message, 0)->data;
}

static inline tr_stats stats_of(tr_arena *arena)
{
    tr_stats stats = TR_STATS_INIT;

    assert_ok(tr_stats_get(arena, &stats));
    return stats;
}

/* The status with which a child that the test forked ended. */
static inline int status_of(pid_t child)
{
    int status = -1;

    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

#endif
