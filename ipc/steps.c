/* SPDX-License-Identifier: MIT */
/* What test builds have of shm_steps.h and mutant.h. */
#include "ipc/mutant.h"
#include "ipc/shm.h"

#ifdef TR_STEPS
void (*shm_step_hook)(const char *site, const void *at, enum shm_kind kind);
bool (*shm_memory_hook)(const struct shm_access *access);
uint64_t shm_answer;
bool shm_swapped;
enum mutant mutant_on;
#endif
