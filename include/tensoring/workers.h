/* SPDX-License-Identifier: MIT */
/* workers.h - workers with cores of their own: plan, enter, pool. */
#ifndef TENSORING_WORKERS_H
#define TENSORING_WORKERS_H

#include <tensoring/enter.h>
#include <tensoring/plan.h>
#include <tensoring/pool.h>

#endif
