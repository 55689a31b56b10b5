/* SPDX-License-Identifier: MIT */
#include "identity.h"

#include <stdio.h>
#include <string.h>

bool identity_same(const struct identity *one, const struct identity *other)
{
    return memcmp(one, other, sizeof(*one)) == 0;
}

bool identity_none(const struct identity *one)
{
    static const struct identity none;

    return identity_same(one, &none);
}

static uint64_t turn(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static void mix(uint64_t v[4], int rounds)
{
    while (rounds--) {
        v[0] += v[1];
        v[1] = turn(v[1], 13) ^ v[0];
        v[0] = turn(v[0], 32);
        v[2] += v[3];
        v[3] = turn(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = turn(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = turn(v[1], 17) ^ v[2];
        v[2] = turn(v[2], 32);
    }
}

/* SipHash-2-4: without the key, nobody can tell other results from one. */
static uint64_t hash(const uint64_t key[2], const char *text)
{
    size_t length = strlen(text), at = 0;
    uint64_t v[] = {
        key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    bool last;

    do {
        uint64_t word = 0;

        last = length - at < 8;
        memcpy(&word, text + at, last ? length - at : 8);
        word |= last ? (uint64_t)length << 56 : 0;
        v[3] ^= word;
        mix(v, 2);
        v[0] ^= word;
        at += 8;
    } while (!last);
    v[2] ^= 0xff;
    mix(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct identity identity_make(uint64_t nonce, const char *kind, const char *name)
{
    struct identity made;
    char text[256];

    snprintf(text, sizeof(text), "%s.%s", kind, name);
    for (uint64_t half = 0; half < 2; half++) {
        const uint64_t key[] = {nonce, half};
        uint64_t word = hash(key, text);

        memcpy(made.bytes + 8 * half, &word, sizeof(word));
    }
    return made;
}

uint64_t identity_short(const struct identity *one)
{
    uint64_t word;

    memcpy(&word, one->bytes, sizeof(word));
    return word ? word : 1;
}
