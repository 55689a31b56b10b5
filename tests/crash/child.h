/* SPDX-License-Identifier: MIT */
/* child.h - what a child does that is forked in the middle of an operation. */
#ifndef TR_TESTS_CHILD_H
#define TR_TESTS_CHILD_H

#include "tests/crash/scenes.h"

/* Everything, by what it inherited; crash_fail() if it can't. @p dies: it leaves holding a
 * loan, and its handles open. */
void crash_child(struct stage *stage, bool dies);

#endif
