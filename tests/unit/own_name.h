/* SPDX-License-Identifier: MIT */
/* own_name.h - the name of an arena that no other run of a test has, beside this one. */
#ifndef TR_TESTS_UNIT_OWN_NAME_H
#define TR_TESTS_UNIT_OWN_NAME_H

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define NAME own_name
#define PATH own_path

static char own_name[64];
static char own_path[96];

/* The name is no beginning of that of another process. */
__attribute__((constructor)) static void make_own_name(void)
{
    snprintf(own_name, sizeof(own_name), "%.40s-%d.", program_invocation_short_name,
             (int)getpid());
    snprintf(own_path, sizeof(own_path), "/dev/shm/tensoring.%s", own_name);
}

#endif
