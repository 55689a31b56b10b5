/* SPDX-License-Identifier: MIT */
/* hash.h - a hash of words with a secret of the arena: one that may choose names and keys, but does
 * not know the secret, can't choose two of one hash.
 *
 * The words are folded by multiplying with half of the secret and adding the halves of the
 * product without carry: a few cycles each, where a hash by bytes would cost more than the rest
 * of a get. */
#ifndef TR_IPC_HASH_H
#define TR_IPC_HASH_H

#include <stdint.h>

__extension__ typedef unsigned __int128 hash_product;

static inline uint64_t hash_words(const uint64_t secret[2], const uint64_t *words,
                                  uint32_t count)
{
    uint64_t hash = secret[0] + count;

    for (uint32_t i = 0; i < count; i++) {
        hash_product product = (hash_product)(hash ^ words[i]) * (secret[1] | 1);

        hash = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    return hash;
}

#endif
