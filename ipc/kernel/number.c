/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/number.h"

#include <stdatomic.h>

#define KNOWN 4096u /* numbers; of those beyond nothing is remembered */

static _Atomic uint64_t takes;       /* local: */
static _Atomic uint64_t last[KNOWN]; /* local: by which take each was taken last */

uint64_t number_take(int fd)
{
    uint64_t take = atomic_fetch_add(&takes, 1) + 1;

    if ((unsigned)fd < KNOWN) /* not -1 */
        atomic_store(&last[fd], take);
    return take;
}

bool number_is_ours(int fd, uint64_t taken)
{
    return fd >= 0 && ((unsigned)fd >= KNOWN || atomic_load(&last[fd]) == taken);
}
