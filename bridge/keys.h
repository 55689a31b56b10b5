/* SPDX-License-Identifier: MIT */
/* keys.h - CURVE keys in files: one line of 40 characters, Z85 (RFC 32 of ZeroMQ). */
#ifndef TR_BRIDGE_KEYS_H
#define TR_BRIDGE_KEYS_H

#define KEY_TEXT 41

enum key_kind { KEY_SECRET, KEY_PUBLIC };

/* Read a key. -1: an error, which it has told: no such file, not a key, or a secret one that
 * others may read. */
int key_read(const char *path, enum key_kind kind, char key[KEY_TEXT]);

/* The public key that belongs to @p secret. -1: there is none. */
int key_public(const char *secret, char key[KEY_TEXT]);

/* Make NAME.key, mode 0600, and NAME.pub. Neither may be there. 0 or 1: the exit status. */
int keys_make(const char *name);

#endif
