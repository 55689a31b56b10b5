/* SPDX-License-Identifier: MIT */
#include "ipc/hooks.h"
#include "ipc/liveness/device.h"
#include "ipc/liveness/participant.h"
#include "ipc/memory/backing.h"
#include "ipc/signal/notify.h"

const struct hooks hooks_real = {
    .ring = notify_descriptor,
    .dead = participant_dead,
    .busy = device_busy,
    .reserve = backing_reserve,
    .punch = backing_punch,
};
const struct hooks *hooks = &hooks_real;
