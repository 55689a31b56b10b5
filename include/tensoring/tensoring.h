/* SPDX-License-Identifier: MIT */
/* tensoring.h - everything. */
#ifndef TENSORING_H
#define TENSORING_H

#include <tensoring/arena.h>
#include <tensoring/base.h>
#include <tensoring/board.h>
#include <tensoring/bridge.h>
#include <tensoring/broadcast.h>
#include <tensoring/device.h>
#include <tensoring/error.h>
#include <tensoring/histogram.h>
#include <tensoring/loader.h>
#include <tensoring/log.h>
#include <tensoring/look.h>
#include <tensoring/message.h>
#include <tensoring/npy.h>
#include <tensoring/queue.h>
#include <tensoring/request.h>
#include <tensoring/stats.h>
#include <tensoring/tensor.h>
#include <tensoring/version.h>
#include <tensoring/waitset.h>
#include <tensoring/workers.h>

#endif
