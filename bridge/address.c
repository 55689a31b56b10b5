/* SPDX-License-Identifier: MIT */
#include "address.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

/* HOST and PORT of "HOST:PORT" or "[HOST]:PORT". */
static int split(const char *text, char host[200], const char **port, char why[WHY_TEXT])
{
    const char *colon = strrchr(text, ':'), *from = text;
    size_t length = colon ? (size_t)(colon - text) : 0;

    if (length > 1 && text[0] == '[' && colon[-1] == ']') {
        from++;
        length -= 2;
    }
    if (!length || length >= 200 || !colon[1]) {
        snprintf(why, WHY_TEXT, "the address '%s' is not of the form HOST:PORT", text);
        return -1;
    }
    memcpy(host, from, length);
    host[length] = 0;
    *port = colon + 1;
    return 0;
}

static int complain(int result, const char *text, char why[WHY_TEXT])
{
    snprintf(why, WHY_TEXT, "the address '%s': %s", text,
             result == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(result));
    return -1;
}

int address_write(struct address *found, char why[WHY_TEXT])
{
    char host[INET6_ADDRSTRLEN + 20], port[8];
    int result = getnameinfo((struct sockaddr *)&found->socket, found->bytes, host,
                             sizeof(host), port, sizeof(port),
                             NI_NUMERICHOST | NI_NUMERICSERV);

    if (result != 0)
        return complain(result, "of a socket", why);
    snprintf(found->text, sizeof(found->text), strchr(host, ':') ? "[%s]:%s" : "%s:%s",
             host, port);
    return 0;
}

int address_find(struct address *found, const char *text, char why[WHY_TEXT])
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *list;
    char host[200];
    const char *port;
    int result;

    if (split(text, host, &port, why) < 0)
        return -1;
    result = getaddrinfo(host, port, &wanted, &list);
    if (result != 0)
        return complain(result, text, why);
    *found = (struct address){.bytes = list->ai_addrlen};
    memcpy(&found->socket, list->ai_addr, list->ai_addrlen);
    freeaddrinfo(list);
    return address_write(found, why);
}
