/* SPDX-License-Identifier: MIT */
#include "tests/unit/support.h"

#include "say.h"

static void prints_as(const char *given, const char *expected)
{
    char text[64];

    snprintf(text, sizeof(text), "%s", given);
    assert_string_equal(make_printable(text), expected);
}

static void what_is_text_stays(void **state)
{
    (void)state;
    prints_as("", "");
    prints_as("pool@host-b", "pool@host-b");
    prints_as("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
              "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
}

/* Escape sequences of terminals begin with ESC, or with U+009B and others of 0x80 to 0x9f. */
static void controls_do_not_reach_a_terminal(void **state)
{
    (void)state;
    prints_as("a\x1b]0;b\x07\n\x7f", "a?]0;b???");
    prints_as("\xc2\x9b"
              "31m",
              "??31m");
}

/* Texts are cut at a number of bytes, which may be in a character. */
static void what_is_no_utf8_is_replaced(void **state)
{
    (void)state;
    prints_as("\xff\xfe", "??");
    prints_as("cut \xe2\x82", "cut ??");
    prints_as("\xc0\xaf \xe0\x80\xaf", "?? ???");
    prints_as("\xed\xa0\x80 \xf4\x90\x80\x80 \xf5", "??? ???? ?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_text_stays),
        cmocka_unit_test(controls_do_not_reach_a_terminal),
        cmocka_unit_test(what_is_no_utf8_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
