/* SPDX-License-Identifier: MIT */
/* workers.h - workers with cores of their own: plan in the master, enter in each worker. */
#ifndef TENSORING_WORKERS_H
#define TENSORING_WORKERS_H

#include <tensoring/enter.h>
#include <tensoring/plan.h>

#endif
