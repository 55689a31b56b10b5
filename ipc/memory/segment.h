/* SPDX-License-Identifier: MIT */
/* segment.h - the shared memory itself: made, reserved, sealed, attached, checked.
 *
 * A named arena is built in a file without a name (O_TMPFILE) and linked to its name when it
 * is whole and its creator has joined (name.h): a creator that is killed on the way leaves
 * nothing. */
#ifndef TR_IPC_SEGMENT_H
#define TR_IPC_SEGMENT_H

#include "ipc/kernel/limits.h"
#include "ipc/kernel/trust.h"
#include "ipc/view.h"

#define SEGMENT_DIRECTORY "/dev/shm"
#define SEGMENT_PREFIX    "tensoring."
#define SEGMENT_PATH      256

struct segment_class {
    uint64_t slot_bytes, count;
};

struct segment_spec {
    const char *name; /* NULL: anonymous */
    uint32_t flags;   /* of enum segment_flag, and others that are only kept */
    const struct segment_class *classes;
    uint32_t class_count;
    uint32_t participant_count, channel_count, pin_count, eventfd_count;
    uint64_t rings_bytes;
    uint64_t memory_bytes, warm_bytes; /* elastic: limits of all, of what is free */
    uint32_t mode, uid, gid;           /* uid, gid: UINT32_MAX as it is */
};

/* Why an attach was refused, for the sentence that explains it. */
enum segment_refusal {
    REFUSED_NONE,
    REFUSED_ABSENT,
    REFUSED_KIND,
    REFUSED_OWNER,
    REFUSED_SHORT,
    REFUSED_UNREADY,
    REFUSED_LAYOUT,
    REFUSED_FEATURES,
    REFUSED_GEOMETRY,
    REFUSED_KERNEL
};

struct segment_report {
    struct shortage shortage;
    enum segment_refusal refusal;
    uint64_t found, expected;      /* owner, mode, layout, size: whatever was refused */
    uint32_t mode, gid;            /* of a file whose owner is not trusted */
    bool owner_would, group_would; /* which trust would give access */
    int huge_error;                /* 0 or -errno of asking for large pages */
};

/* Note why an arena is refused; returns @p code. */
int segment_refuse(struct segment_report *report, enum segment_refusal refusal,
                   uint64_t found, uint64_t expected, int code);

/* Offsets of a spec. 0, -EOVERFLOW. */
int segment_plan(const struct segment_spec *spec, struct control *geo);

/* Make, reserve, map, fill in. 0 or -errno; then nothing is left behind. */
int segment_create(const struct segment_spec *spec, struct view *view,
                   struct segment_report *report);

/* Attach by name, or by a descriptor that is taken over, and closed if it fails. 0, or -errno
 * with a refusal. @p trust: for a name, which any user may have taken. The giver of a descriptor
 * vouches for it. */
int segment_attach(const char *name, int fd, struct segment_trust trust,
                   struct view *view, struct segment_report *report);

/* The file behind the name, looked at and then opened for reading and writing. The descriptor,
 * or -errno with a refusal. */
int segment_open(const char *name, struct segment_trust trust,
                 struct segment_report *report);

/* Where the descriptor was closed, as by a daemon that closes all: get it back by the name, if
 * there is one. 0, -errno. */
int segment_recover(struct view *view, const char *name);

/* Bring the page tables of a forked child up to what the parent had. */
void segment_warm(const struct view *view);

void segment_detach(struct view *view);

/* The descriptor alone. */
void segment_close(struct view *view);

/* /dev/shm/tensoring.NAME. 0, -ENAMETOOLONG. */
int segment_path(const char *name, char path[SEGMENT_PATH]);

/* Whether every offset, size and count of @p geo is consistent with @p file_bytes. */
bool segment_valid(const struct control *geo, uint64_t file_bytes);

/* Whether a control block is one that we understand. 0, or -errno with a refusal. */
int segment_judge(uint64_t magic, const struct control *geo, uint64_t file_bytes,
                  struct segment_report *report);

#endif
