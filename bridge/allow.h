/* SPDX-License-Identifier: MIT */
/* allow.h - the public keys that may connect. */
#ifndef TR_BRIDGE_ALLOW_H
#define TR_BRIDGE_ALLOW_H

#include <stdbool.h>
#include <stddef.h>

struct allow;

/* Read them from @p path: a .pub file, or a folder of them. NULL: an error, which it has told. */
struct allow *allow_open(const char *path);

/* Read them again. On an error, which it tells, the old list stays. */
void allow_reload(struct allow *allow);

size_t allow_count(const struct allow *allow);
bool allow_has(const struct allow *allow, const char *key); /* NULL has none */
void allow_close(struct allow *allow);

#endif
