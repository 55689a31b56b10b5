/* SPDX-License-Identifier: MIT */
#include "transports/transport.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "transports/payload.h"

const struct transport *const transports[] = {
    &transport_ours,    &transport_ours_loan, &transport_uds,       &transport_uds_large,
    &transport_uring,   &transport_seqpacket, &transport_tcp,       &transport_pipe,
    &transport_mq,      &transport_flag,      &transport_ring,      &transport_futex,
    &transport_eventfd, &transport_loop,      &transport_loop_fill, &transport_vyukov,
};
const size_t transport_count = sizeof transports / sizeof transports[0];

const struct transport *transport_find(const char *name)
{
    for (size_t i = 0; i < transport_count; i++)
        if (strcmp(transports[i]->name, name) == 0)
            return transports[i];
    die("there is no transport \"%s\"", name);
}

void end_produce(struct end *end)
{
    if (end->touch == TOUCH_FILLREAD)
        payload_fill(end->out, end->bytes, end->sent++);
}

void end_consume(struct end *end, const void *from)
{
    if (end->touch == TOUCH_READWRITE || end->touch == TOUCH_FILLREAD)
        end->sum += payload_read(from, end->bytes);
}

void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void die(const char *format, ...)
{
    va_list arguments;

    fputs("tensoring-bench: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void *map_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        die("cannot map %zu shared bytes: %s", bytes, strerror(errno));
    return memory;
}

void unmap_shared(void *memory, size_t bytes)
{
    munmap(memory, bytes);
}
