/* SPDX-License-Identifier: MIT */
#ifndef TR_TESTS_FOLDER_CALLS_H
#define TR_TESTS_FOLDER_CALLS_H

/* A run begins: what actors of the last one had is free. */
void folder_calls_start(void);

#endif
