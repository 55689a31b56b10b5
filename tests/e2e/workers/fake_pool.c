/* SPDX-License-Identifier: MIT */
/* A library that has a thread count and no threads, for spellings that cannot be installed
 * everywhere. SET and GET are its symbols, NUMBER their type. */
#include <stdint.h>

static NUMBER threads = 8;

#ifdef INTO /* LightGBM's way */
int SET(int wanted);
int GET(int *out);

int SET(int wanted)
{
    threads = wanted;
    return 0;
}

int GET(int *out)
{
    *out = threads;
    return 0;
}
#else
void SET(NUMBER wanted);
NUMBER GET(void);

void SET(NUMBER wanted)
{
    threads = wanted;
}

NUMBER GET(void)
{
    return threads;
}
#endif
