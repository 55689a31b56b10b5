/* SPDX-License-Identifier: MIT */
#include "src/base/error.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    int code;
    const char *name;
} codes[] = {
#define ROW(name, value, text) {TR_E##name, "TR_E" #name},
    TR_ERRORS(ROW)
#undef ROW
};

enum { CODES = sizeof(codes) / sizeof(codes[0]) };

/* Every number has a message; just the numbers of the table have a name. */
static void every_code_has_a_message_and_a_name(void **state)
{
    int named = 0;

    (void)state;
    for (int err = 0; err >= -5000; err--) {
        const char *name = tr_error_name(err);

        assert_non_null(tr_strerror(err));
        assert_true(strlen(tr_strerror(err)) > 0);
        named += name != NULL;
        if (name)
            assert_string_not_equal(tr_strerror(err), "unknown error");
        else if (err != 0)
            assert_string_equal(tr_strerror(err), "unknown error");
    }
    assert_int_equal(named, CODES);
    for (int i = 0; i < CODES; i++)
        assert_string_equal(tr_error_name(codes[i].code), codes[i].name);
    assert_string_equal(tr_strerror(0), "success");
    assert_null(tr_error_name(0));
}

/* What people paste into a search engine. */
static void messages_use_the_common_words(void **state)
{
    (void)state;
    assert_string_equal(tr_strerror(TR_EAGAIN), "would block");
    assert_string_equal(tr_strerror(TR_ETIMEDOUT), "timed out");
    assert_string_equal(tr_strerror(TR_EACCES), "permission denied");
    assert_string_equal(tr_strerror(TR_EINVAL), "invalid argument");
    assert_non_null(strstr(tr_strerror(TR_ENOMEM), "out of"));
    assert_non_null(strstr(tr_strerror(TR_ENOSPC), "out of shared memory"));
    assert_non_null(strstr(tr_strerror(TR_ECORRUPT), "is corrupted"));
    assert_non_null(strstr(tr_strerror(TR_EINTR), "interrupted by a signal"));
    assert_non_null(strstr(tr_strerror(TR_ENFILE), "too many open files"));
}

static void codes_and_messages_differ(void **state)
{
    (void)state;
    for (int i = 0; i < CODES; i++) {
        assert_true(codes[i].code < 0);
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(codes[i].code, codes[j].code);
            assert_string_not_equal(tr_strerror(codes[i].code),
                                    tr_strerror(codes[j].code));
        }
    }
}

/* Errors of the kernel end at -4095: those of the library lie below. */
static void own_codes_lie_below_those_of_errno(void **state)
{
    (void)state;
    for (int i = 0; i < CODES; i++)
        assert_true(codes[i].code > -200 || codes[i].code < -4096);
    assert_int_equal(TR_EAGAIN, -EAGAIN);
    assert_int_equal(TR_ECLOSED, -4097);
}

static void a_failure_keeps_its_detail(void **state)
{
    (void)state;
    assert_int_equal(tr_fail(TR_EINVAL, "asked for %d, the limit is %d", 17, 16),
                     TR_EINVAL);
    assert_string_equal(tr_error_detail(), "asked for 17, the limit is 16");
    tr_fail_more("; held by %s", "worker 3");
    assert_string_equal(tr_error_detail(),
                        "asked for 17, the limit is 16; held by worker 3");
    assert_int_equal(tr_fail(TR_EIO, "%s", ""), TR_EIO);
    assert_string_equal(tr_error_detail(), "");
}

static void errno_is_translated_and_explained(void **state)
{
    static const struct {
        int from, to;
    } rows[] = {{-EAGAIN, TR_EAGAIN},     {-EMFILE, TR_ENFILE}, {-ENFILE, TR_ENFILE},
                {-ELOOP, TR_EACCES},      {-EROFS, TR_EACCES},  {-EFBIG, TR_ENOSPC},
                {-EDQUOT, TR_ENOSPC},     {-ENOSPC, TR_ENOSPC}, {-EPERM, TR_EPERM},
                {-ECHILD, TR_EIO},        {-4095, TR_EIO},      {-EINTR, TR_EINTR},
                {-EOPNOTSUPP, TR_ENOTSUP}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(tr_fail_errno(rows[i].from, "open %s", "x"), rows[i].to);
        assert_int_equal(strncmp(tr_error_detail(), "open x: ", 8), 0);
    }
    assert_int_equal(tr_fail_errno(-EMFILE, "open"), TR_ENFILE);
    assert_string_equal(tr_error_detail(), "open: Too many open files; raise the limit "
                                           "(ulimit -n), or close some");
    assert_int_equal(tr_fail_errno(-ENFILE, "open"), TR_ENFILE);
    assert_non_null(strstr(tr_error_detail(), "fs.file-max"));
    assert_int_equal(tr_fail_errno(-ENOENT, "open"), TR_ENOENT);
    assert_string_equal(tr_error_detail(), "open: No such file or directory");
}

static void a_long_detail_is_cut_and_ends(void **state)
{
    char huge[5000];
    size_t kept;

    (void)state;
    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = 0;
    assert_int_equal(tr_fail(TR_EINVAL, "%s", huge), TR_EINVAL);
    kept = strlen(tr_error_detail());
    assert_in_range(kept, 500, sizeof(huge) - 2);
    tr_fail_more("%s", huge);
    assert_int_equal(strlen(tr_error_detail()), kept);
    assert_int_equal(tr_fail_errno(-ENOENT, "%s", huge), TR_ENOENT);
    assert_int_equal(strlen(tr_error_detail()), kept);
}

static void a_detail_has_no_bytes_that_a_terminal_obeys(void **state)
{
    (void)state;
    (void)tr_fail(TR_EINVAL, "queue \"%s\"", "a\x1b[2J\xc2\x9b\xff\n\xe2\x82\xac");
    assert_string_equal(tr_error_detail(), "queue \"a?[2J????\xe2\x82\xac\"");
}

static void *fail_elsewhere(void *seen)
{
    const char *before = tr_error_detail();

    *(int *)seen = strcmp(before, "") == 0 && tr_fail(TR_EIO, "theirs") == TR_EIO &&
                   strcmp(tr_error_detail(), "theirs") == 0;
    return NULL;
}

static void each_thread_has_its_own_detail(void **state)
{
    pthread_t thread;
    int fine = 0;

    (void)state;
    assert_int_equal(tr_fail(TR_EINVAL, "ours"), TR_EINVAL);
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &fine), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(fine);
    assert_string_equal(tr_error_detail(), "ours");
}

static void failing_leaves_errno_alone(void **state)
{
    (void)state;
    errno = 77;
    (void)tr_fail(TR_EINVAL, "%d", 1);
    (void)tr_fail_errno(-ENOENT, "%d", 1);
    assert_int_equal(errno, 77);
    errno = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_message_and_a_name),
        cmocka_unit_test(messages_use_the_common_words),
        cmocka_unit_test(codes_and_messages_differ),
        cmocka_unit_test(own_codes_lie_below_those_of_errno),
        cmocka_unit_test(a_failure_keeps_its_detail),
        cmocka_unit_test(errno_is_translated_and_explained),
        cmocka_unit_test(a_long_detail_is_cut_and_ends),
        cmocka_unit_test(a_detail_has_no_bytes_that_a_terminal_obeys),
        cmocka_unit_test(each_thread_has_its_own_detail),
        cmocka_unit_test(failing_leaves_errno_alone),
    };

    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
