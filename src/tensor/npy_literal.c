/* SPDX-License-Identifier: MIT */
#include "src/tensor/npy_literal.h"

#include <string.h>

#include "src/base/error.h"
#include "src/text/text.h"

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_word(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c >= 0x80;
}

int literal_fail(const struct literal *in, const char *expected)
{
    size_t place = (size_t)(in->at - in->start);

    if (in->at == in->end)
        return tr_fail(TR_EFORMAT, "npy: expected %s at byte %zu, where the text ends",
                       expected, place);
    if (*in->at < 0x20 || *in->at > 0x7e)
        return tr_fail(TR_EFORMAT, "npy: expected %s at byte %zu, found byte 0x%02x",
                       expected, place, *in->at);
    return tr_fail(TR_EFORMAT, "npy: expected %s at byte %zu, found \"%c\"", expected,
                   place, *in->at);
}

int literal_peek(struct literal *in)
{
    while (in->at < in->end && is_space(*in->at))
        in->at++;
    return in->at < in->end ? *in->at : -1;
}

bool literal_take(struct literal *in, char c)
{
    if (literal_peek(in) != (unsigned char)c)
        return false;
    in->at++;
    return true;
}

int literal_expect(struct literal *in, char c)
{
    char expected[] = {'"', c, '"', 0};

    return literal_take(in, c) ? 0 : literal_fail(in, expected);
}

int literal_next(struct literal *in, char close, bool *more)
{
    char expected[] = "\",\" or \"?\"";

    *more = false;
    if (literal_take(in, ',')) {
        *more = !literal_take(in, close);
        return 0;
    }
    expected[sizeof(expected) - 3] = close;
    return literal_take(in, close) ? 0 : literal_fail(in, expected);
}

/* Past the backslash at in->at. Only what repr() of Python writes. */
static int skip_escape(struct literal *in)
{
    size_t digits = 0;

    in->at++;
    if (in->at == in->end)
        return literal_fail(in, "an escaped character");
    if (*in->at == 'x')
        digits = 2;
    else if (*in->at == 'u')
        digits = 4;
    else if (*in->at == 'U')
        digits = 8;
    else if (!strchr("\\'\"nrt", *in->at) || *in->at == 0)
        return literal_fail(in, "one of \\ ' \" n r t x u U after a backslash");
    in->at++;
    for (; digits > 0; digits--, in->at++)
        if (in->at == in->end || !is_hex(*in->at))
            return literal_fail(in, "a hexadecimal digit");
    return 0;
}

int literal_string(struct literal *in, struct literal_text *text)
{
    int quote = literal_peek(in), result;
    size_t n;

    if (quote != '\'' && quote != '"')
        return literal_fail(in, "a string");
    in->at++;
    *text = (struct literal_text){.at = in->at, .quote = (char)quote};
    for (;;) {
        if (in->at == in->end)
            return literal_fail(in, "the end of a string");
        if (*in->at == quote)
            break;
        if (*in->at < 0x20)
            return literal_fail(in, "a printable character");
        if (*in->at == '\\') {
            text->escaped = true;
            result = skip_escape(in);
            if (result)
                return result;
            continue;
        }
        n = in->utf8 ? utf8_length(in->at, in->end) : 1;
        if (n == 0)
            return literal_fail(in, "UTF-8");
        in->at += n;
    }
    text->bytes = (size_t)(in->at - text->at);
    in->at++;
    return 0;
}

int literal_integer(struct literal *in, int64_t *value)
{
    const unsigned char *first;

    if (!is_digit(literal_peek(in)))
        return literal_fail(in, "an integer of 0 or more");
    first = in->at;
    *value = 0;
    for (; in->at < in->end && is_digit(*in->at); in->at++) {
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, *in->at - '0', value))
            return tr_fail(TR_EOVERFLOW,
                           "npy: the integer at byte %zu does not fit in 63 bits",
                           (size_t)(first - in->start));
    }
    if (*first == '0' && in->at - first > 1) {
        in->at = first;
        return literal_fail(in, "an integer without leading zeros");
    }
    if (in->python2 && in->at < in->end && *in->at == 'L')
        in->at++;
    if (in->at < in->end && is_word(*in->at))
        return literal_fail(in, "the end of an integer");
    return 0;
}

int literal_bool(struct literal *in, bool *value)
{
    static const char *const words[] = {"False", "True"};

    literal_peek(in);
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(words[i]);

        if ((size_t)(in->end - in->at) < n || memcmp(in->at, words[i], n) != 0 ||
            (in->at + n < in->end && is_word(in->at[n])))
            continue;
        in->at += n;
        *value = i == 1;
        return 0;
    }
    return literal_fail(in, "True or False");
}

bool literal_text_is(const struct literal_text *text, const char *word)
{
    return text->bytes == strlen(word) && memcmp(text->at, word, text->bytes) == 0;
}
