/* SPDX-License-Identifier: MIT */
/* step.h - points at which the bridge of the tests can be killed, and what it can be made to
 * say. In the bridge that is installed they are nothing. */
#ifndef TR_BRIDGE_STEP_H
#define TR_BRIDGE_STEP_H

#include <stdbool.h>
#include <stdint.h>

#ifdef TR_BRIDGE_STEPS
/* TENSORING_BRIDGE_KILL=POINT:N kills this process when it comes to POINT for the Nth time. */
void step(const char *point);
/* TENSORING_BRIDGE_MEMORY=N: false the Nth time, as if there were no memory for a message. */
bool step_memory(void);
const char *step_magic(void);              /* TENSORING_BRIDGE_MAGIC */
uint16_t step_version(uint16_t version);   /* TENSORING_BRIDGE_WIRE */
const char *step_ucx(const char *version); /* TENSORING_BRIDGE_UCX */
#else
static inline void step(const char *point)
{
    (void)point;
}

static inline bool step_memory(void)
{
    return true;
}

static inline const char *step_magic(void)
{
    return "TRBR";
}

static inline uint16_t step_version(uint16_t version)
{
    return version;
}

static inline const char *step_ucx(const char *version)
{
    return version;
}
#endif

#endif
