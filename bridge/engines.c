/* SPDX-License-Identifier: MIT */
/* The engines that this program was built with. */
#include <stdio.h>
#include <string.h>

#include "engine.h"

static const struct engine_calls *const engines[] = {
#ifdef TR_BRIDGE_ZMQ
    &engine_zmq,
#endif
#ifdef TR_BRIDGE_UCX
    &engine_ucx,
#endif
};
enum { ENGINES = sizeof(engines) / sizeof(engines[0]) };

const struct engine_calls *engine_choose(const char **address, char why[WHY_TEXT])
{
    const char *end = strstr(*address, "://");
    size_t length = end ? (size_t)(end - *address) : 0;

    if (!end)
        return engines[0];
    for (size_t i = 0; i < ENGINES; i++)
        if (strlen(engines[i]->name) == length &&
            memcmp(engines[i]->name, *address, length) == 0) {
            *address = end + strlen("://");
            return engines[i];
        }
    snprintf(why, WHY_TEXT,
             "'%s' names an engine that this program does not have: it has %s; see "
             "TR_BRIDGE in docs/how-to/bridge.md to build it with another one",
             *address, engine_names());
    return NULL;
}

const char *engine_names(void)
{
    static char names[32];

    *names = 0;
    for (size_t i = 0; i < ENGINES; i++)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
                 i ? " " : "", engines[i]->name);
    return names;
}
