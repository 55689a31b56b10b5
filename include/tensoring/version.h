/* SPDX-License-Identifier: MIT */
#ifndef TENSORING_VERSION_H
#define TENSORING_VERSION_H

/* The version of the library. The build reads it from here, nothing else repeats it. */
#define TR_VERSION_MAJOR 0
#define TR_VERSION_MINOR 1
#define TR_VERSION_PATCH 0

#endif
