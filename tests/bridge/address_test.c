/* SPDX-License-Identifier: MIT */
#include "tests/unit/support.h"

#include "address.h"

static void reads_as(const char *given, const char *expected)
{
    char why[WHY_TEXT] = "";
    struct address found;

    if (address_find(&found, given, why) < 0)
        fail_msg("%s: %s", given, why);
    assert_string_equal(found.text, expected);
}

static void fails_with(const char *given, const char *expected)
{
    char why[WHY_TEXT] = "";
    struct address found;

    assert_int_equal(address_find(&found, given, why), -1);
    if (!strstr(why, expected))
        fail_msg("'%s' does not say '%s'", why, expected);
}

static void hosts_and_ports(void **state)
{
    (void)state;
    reads_as("127.0.0.1:7411", "127.0.0.1:7411");
    reads_as("127.0.0.1:0", "127.0.0.1:0");
    reads_as("[::1]:80", "[::1]:80");
}

static void what_is_no_address_is_told(void **state)
{
    (void)state;
    fails_with("", "HOST:PORT");
    fails_with("host", "HOST:PORT");
    fails_with("host:", "HOST:PORT");
    fails_with(":80", "HOST:PORT");
    fails_with("[]:80", "HOST:PORT");
    fails_with("host.invalid:80", "host.invalid:80");
    fails_with("127.0.0.1:port", "127.0.0.1:port");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_and_ports),
        cmocka_unit_test(what_is_no_address_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
