/* SPDX-License-Identifier: MIT */
#include "ipc/backing.h"
#include "ipc/device.h"
#include "ipc/hooks.h"
#include "ipc/notify.h"
#include "ipc/participant.h"

const struct hooks hooks_real = {
    .ring = notify_descriptor,
    .dead = participant_dead,
    .busy = device_busy,
    .reserve = backing_reserve,
    .punch = backing_punch,
};
const struct hooks *hooks = &hooks_real;
