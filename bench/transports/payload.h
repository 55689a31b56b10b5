/* SPDX-License-Identifier: MIT */
/* payload.h - how every transport writes and reads what it carries. */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

/* Write @p bytes bytes: 64-bit words that count up from @p seed, then what is left. */
void payload_fill(void *to, size_t bytes, uint64_t seed);

/* Read every byte: the sum of the 64-bit words, modulo 2^64. */
uint64_t payload_read(const void *from, size_t bytes);

#endif
