/* SPDX-License-Identifier: MIT */
/* transport.h - one way to get bytes from a process to another.
 *
 *  open     in the parent, before the fork
 *  enter    in each process, after the fork
 *  configure, then send and receive, or pingpong where there is a loop of its own
 *  close    in the parent, when the processes are gone
 *
 * Side 0 sends to side 1, and side 1 to side 0; a side may have two processes. */
#ifndef BENCH_TRANSPORT_H
#define BENCH_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mode { MODE_SPIN = 1, MODE_BLOCK = 2 };

enum touch {
    TOUCH_NONE,  /* the message is handed over, nobody looks at it */
    TOUCH_WRITE, /* it lies ready in private memory, or is filled in place if loaned */
    TOUCH_READWRITE, /* the same, and the receiver reads every byte */
    TOUCH_FILLREAD   /* the sender fills it first, wherever it starts, and as before */
};

struct transport;

/* One process's end of an open transport. */
struct end {
    const struct transport *transport;
    void *state;
    size_t bytes;        /* of a message */
    unsigned side;       /* 0 or 1 */
    unsigned member;     /* which process */
    bool oversubscribed; /* more processes than processors */
    enum mode mode;
    enum touch touch;
    uint8_t *out; /* private memory, page-aligned, touched, at least `bytes` */
    uint8_t *in;
    uint64_t sent; /* messages so far */
    uint64_t received;
    uint64_t sum; /* the sum of what was read, so that reading cannot be optimized away */
};

struct transport {
    const char *name;       /* in the results */
    const char *comparison; /* what --transport selects */
    unsigned modes;         /* MODE_... it can wait in */
    bool many;              /* several senders and receivers a side */
    bool streams;           /* a sender that runs ahead is held back */
    /* 0, or -errno if this machine or size is beyond it: then it is left out. */
    int (*open)(size_t bytes, void **state);
    int (*enter)(struct end *end);      /* may be NULL */
    void (*configure)(struct end *end); /* the mode or the touch changed; may be NULL */
    void (*send)(struct end *end);      /* may be NULL if there is a pingpong */
    void (*receive)(struct end *end);   /* as send */
    void (*pingpong)(struct end *end, uint64_t count); /* NULL: send and receive */
    void (*close)(void *state);
};

/* Every transport there is, in the order of the tables. */
extern const struct transport *const transports[];
extern const size_t transport_count;

const struct transport *transport_find(const char *name);

extern const struct transport transport_ours, transport_ours_loan;
extern const struct transport transport_uds, transport_uds_large, transport_seqpacket;
extern const struct transport transport_tcp, transport_pipe, transport_mq,
    transport_uring;
extern const struct transport transport_flag, transport_ring, transport_futex;
extern const struct transport transport_eventfd, transport_loop, transport_loop_fill;
extern const struct transport transport_vyukov;

/* For the sources of transports. */
void end_produce(struct end *end); /* fill end->out if the touch asks for it */
void end_consume(struct end *end, const void *from); /* read if the touch asks for it */
void cpu_relax(void);
uint64_t clock_ns(void);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *map_shared(size_t bytes); /* touched pages that survive the fork, or death */
void unmap_shared(void *memory, size_t bytes);

#endif
