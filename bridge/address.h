/* SPDX-License-Identifier: MIT */
/* address.h - HOST:PORT as a socket address. */
#ifndef TR_BRIDGE_ADDRESS_H
#define TR_BRIDGE_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "say.h"

enum { ADDRESS_TEXT = INET6_ADDRSTRLEN + 32 };

struct address {
    struct sockaddr_storage socket;
    socklen_t bytes;
    char text[ADDRESS_TEXT]; /* in numbers: 10.0.0.1:7411, [fe80::1%eth0]:7411 */
};

/* Ask for the address of "HOST:PORT" or "[HOST]:PORT". 0, or -1 and @p why. */
int address_find(struct address *found, const char *text, char why[WHY_TEXT]);

/* Write @p found->text again, from its socket address. 0, or -1 and @p why. */
int address_write(struct address *found, char why[WHY_TEXT]);

#endif
