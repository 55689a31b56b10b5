/* SPDX-License-Identifier: MIT */
#include "ipc/kernel/unforked.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void hold(void)
{
    pthread_mutex_lock(&mutex);
}

static void let_go(void)
{
    pthread_mutex_unlock(&mutex);
}

static void guard(void)
{
    (void)pthread_atfork(hold, let_go, let_go);
}

void unforked_begin(void)
{
    pthread_once(&once, guard);
    hold();
}

void unforked_end(void)
{
    let_go();
}

/* Children are told by handlers that come after ours: nothing is held then. */
void unforked_tell(void (*child)(void))
{
    pthread_once(&once, guard);
    (void)pthread_atfork(NULL, NULL, child);
}
