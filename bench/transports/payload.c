/* SPDX-License-Identifier: MIT */
/* Built with -O3 so that both loops use vectors, for all transports alike. */
#include "transports/payload.h"

#include <string.h>

void payload_fill(void *to, size_t bytes, uint64_t seed)
{
    uint64_t *words = to;
    const size_t count = bytes / sizeof *words;

    for (size_t i = 0; i < count; i++)
        words[i] = seed + i;
    memset(words + count, (int)(seed & 0xff), bytes % sizeof *words);
}

uint64_t payload_read(const void *from, size_t bytes)
{
    const uint64_t *words = from;
    const size_t count = bytes / sizeof *words;
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += words[i];
    uint64_t rest = 0;
    memcpy(&rest, words + count, bytes % sizeof *words);
    return sum + rest;
}
