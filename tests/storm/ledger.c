/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/storm/storm.h"

int64_t storm_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    return x ^ x >> 33;
}

/* Words: number, count of words, a stream that follows from both, their sum. */
void proof_write(void *data, uint64_t bytes, uint64_t number)
{
    uint64_t *words = data, n = bytes / 8, sum = mix(number) + n;

    words[0] = number;
    words[1] = n;
    for (uint64_t i = 2; i + 1 < n; i++) {
        words[i] = mix(number ^ i << 40);
        sum = mix(sum ^ words[i]);
    }
    words[n - 1] = sum;
}

uint64_t proof_read(const void *data, uint64_t bytes)
{
    const uint64_t *words = data;
    uint64_t n = bytes / 8, sum;

    if (n < 3 || words[1] != n)
        return UINT64_MAX;
    sum = mix(words[0]) + n;
    for (uint64_t i = 2; i + 1 < n; i++) {
        if (words[i] != mix(words[0] ^ i << 40))
            return UINT64_MAX;
        sum = mix(sum ^ words[i]);
    }
    return words[n - 1] == sum ? words[0] : UINT64_MAX;
}

/* Nobody is there any more: what was in a hand may have been taken once more. */
static void excuse(struct ledger *ledger)
{
    uint32_t hands = atomic_load(&ledger->next_hand);

    for (uint32_t i = 0; i < hands && i < STORM_HANDS; i++)
        if (atomic_load(&ledger->hand[i]))
            ledger->entries[atomic_load(&ledger->hand[i]) - 1].excused++;
}

void ledger_judge(struct ledger *ledger, struct verdict *verdict)
{
    uint32_t count = atomic_load(&ledger->next);

    memset(verdict, 0, sizeof(*verdict));
    excuse(ledger);
    for (uint32_t i = 0; i < count && i < STORM_MESSAGES; i++) {
        const struct entry *entry = &ledger->entries[i];
        uint32_t taken = atomic_load(&entry->taken);

        verdict->messages += taken > 0;
        verdict->lost += atomic_load(&entry->sent) == 2 && taken == 0;
        verdict->doubled += taken > 1u + entry->excused;
    }
}

bool storm_failed(int status)
{
    return WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL
                               : WIFEXITED(status) && WEXITSTATUS(status) != 0;
}
