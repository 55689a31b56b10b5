/* SPDX-License-Identifier: MIT */
/* options.h - structs of callers that were compiled against another version of the header.
 * They begin with struct_size; fields are only ever appended. */
#ifndef TR_SRC_OPTIONS_H
#define TR_SRC_OPTIONS_H

#include <stddef.h>

/* Overlay the @p known bytes at @p out, which hold the defaults, with what the caller gave
 * (NULL: nothing). Fields that we do not know must be 0. 0, TR_EINVAL. */
int options_take(void *out, size_t known, const void *given, const char *what);

#endif
