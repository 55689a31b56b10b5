/* SPDX-License-Identifier: MIT */
#include "tests/unit/support.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "allow.h"
#include "keys.h"

static char folder[] = "/tmp/tensoring-keys.XXXXXX";

static const char *path(const char *name)
{
    static char text[4][128];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(text[turn], sizeof(text[turn]), "%s/%s", folder, name);
    return text[turn];
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[160];
    (void)state;

    snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return system(command);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(path(name), "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path(name), mode), 0);
}

static void a_pair_belongs_together(void **state)
{
    char secret[KEY_TEXT], public[KEY_TEXT], of_secret[KEY_TEXT];
    struct stat found;
    (void)state;

    assert_int_equal(keys_make(path("a")), 0);
    assert_int_equal(stat(path("a.key"), &found), 0);
    assert_int_equal(found.st_mode & 07777, 0600);
    assert_int_equal(key_read(path("a.key"), KEY_SECRET, secret), 0);
    assert_int_equal(key_read(path("a.pub"), KEY_PUBLIC, public), 0);
    assert_int_equal(key_public(secret, of_secret), 0);
    assert_string_equal(public, of_secret);
}

static void keys_are_not_written_over(void **state)
{
    char secret[KEY_TEXT], same[KEY_TEXT];
    (void)state;

    assert_int_equal(keys_make(path("b")), 0);
    assert_int_equal(key_read(path("b.key"), KEY_SECRET, secret), 0);
    assert_int_equal(keys_make(path("b")), 1);
    assert_int_equal(key_read(path("b.key"), KEY_SECRET, same), 0);
    assert_string_equal(secret, same);
    assert_int_equal(unlink(path("b.key")), 0);
    assert_int_equal(keys_make(path("b")), 1); /* the .pub is there */
    assert_int_not_equal(access(path("b.key"), F_OK), 0);
}

static void a_file_that_is_no_key_is_refused(void **state)
{
    char key[KEY_TEXT];
    (void)state;

    write_file("short.pub", "tooshort\n", 0644);
    write_file("long.pub", "0123456789012345678901234567890123456789012\n", 0644);
    write_file("odd.pub", "012345678901234567890123456789012345678~\n", 0644);
    write_file("empty.pub", "", 0644);
    assert_int_equal(key_read(path("short.pub"), KEY_PUBLIC, key), -1);
    assert_int_equal(key_read(path("long.pub"), KEY_PUBLIC, key), -1);
    assert_int_equal(key_read(path("odd.pub"), KEY_PUBLIC, key), -1);
    assert_int_equal(key_read(path("empty.pub"), KEY_PUBLIC, key), -1);
    assert_int_equal(key_read(path("none.pub"), KEY_PUBLIC, key), -1);
}

static void a_secret_key_that_others_may_read_is_refused(void **state)
{
    char key[KEY_TEXT];
    (void)state;

    assert_int_equal(keys_make(path("c")), 0);
    assert_int_equal(chmod(path("c.key"), 0644), 0);
    assert_int_equal(key_read(path("c.key"), KEY_SECRET, key), -1);
    assert_int_equal(chmod(path("c.key"), 0620), 0);
    assert_int_equal(key_read(path("c.key"), KEY_SECRET, key), -1);
    assert_int_equal(chmod(path("c.key"), 0400), 0);
    assert_int_equal(key_read(path("c.key"), KEY_SECRET, key), 0);
}

static void the_list_is_a_folder_and_is_read_again(void **state)
{
    char one[KEY_TEXT], other[KEY_TEXT];
    struct allow *allow;
    (void)state;

    assert_int_equal(mkdir(path("peers"), 0700), 0);
    assert_int_equal(keys_make(path("peers/one")), 0);
    assert_int_equal(keys_make(path("other")), 0);
    assert_int_equal(key_read(path("peers/one.pub"), KEY_PUBLIC, one), 0);
    assert_int_equal(key_read(path("other.pub"), KEY_PUBLIC, other), 0);
    allow = allow_open(path("peers"));
    assert_non_null(allow);
    assert_int_equal(allow_count(allow), 1);
    assert_true(allow_has(allow, one));
    assert_false(allow_has(allow, other));
    assert_int_equal(rename(path("other.pub"), path("peers/other.pub")), 0);
    allow_close(allow);
    allow = allow_open(path("peers"));
    assert_true(allow_has(allow, other));
    write_file("peers/bad.pub", "bad\n", 0644);
    allow_reload(allow);
    assert_int_equal(allow_count(allow), 2); /* the old list stays */
    assert_int_equal(unlink(path("peers/bad.pub")), 0);
    assert_int_equal(unlink(path("peers/one.pub")), 0);
    allow_close(allow);
    assert_null(allow_open(path("nothing")));
    assert_false(allow_has(NULL, one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_belongs_together),
        cmocka_unit_test(keys_are_not_written_over),
        cmocka_unit_test(a_file_that_is_no_key_is_refused),
        cmocka_unit_test(a_secret_key_that_others_may_read_is_refused),
        cmocka_unit_test(the_list_is_a_folder_and_is_read_again),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
