/* SPDX-License-Identifier: MIT */
/* wake_word.h - the parts of a wake word (wake.h) and of a doorbell (notify.h). */
#ifndef TR_IPC_WAKE_WORD_H
#define TR_IPC_WAKE_WORD_H

#include <stdint.h>

#define WAKE_ASLEEP  UINT32_C(1)
#define WAKE_POLLED  UINT32_C(2)
#define WAKE_FLAGS   (WAKE_ASLEEP | WAKE_POLLED)
#define WAKE_WATCHED UINT32_C(4)
#define WAKE_COUNT   UINT32_C(8)

#endif
