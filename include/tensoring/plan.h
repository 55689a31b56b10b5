/* SPDX-License-Identifier: MIT */
/* plan.h - which cores belong to which worker.
 *
 * Make a plan once, in the master, before any binding and before the fork. It is plain
 * bytes: workers inherit it, or get a copy through an arena, and need no discovery of their
 * own. tr_worker_enter() (enter.h) puts a process on its part.
 *
 * Cores are cut in the machine's own order, so that a worker's cores lie close in cache:
 * whole cores, the siblings of one core together, sets that differ by one core at most, and
 * across an L3 or memory-node boundary only where no other such cut avoids it. On hybrid
 * processors no worker mixes fast and efficient cores. More workers than cores share. */
#ifndef TENSORING_PLAN_H
#define TENSORING_PLAN_H

#include <tensoring/base.h>
#include <tensoring/error.h>

TR_BEGIN_DECLS

#define TR_MAX_CPUS     1024 /**< logical processors a plan can name */
#define TR_MAX_WORKERS  256
#define TR_PLAN_UNKNOWN UINT32_MAX

/** Bit i % 64 of word i / 64 is the logical processor i, as in the kernel's cpu_set_t. */
typedef struct tr_cpuset {
    uint64_t bits[TR_MAX_CPUS / 64];
} tr_cpuset;
TR_ASSERT_SIZE(tr_cpuset, 128);

/** How to cut. */
typedef enum tr_plan_policy {
    TR_PLAN_COMPACT = 0,  /**< neighbours get neighbouring cores */
    TR_PLAN_SPREAD = 1,   /**< the same sets, dealt out so that consecutive workers lie on
                               different L3 caches and memory nodes; with
                               cores_per_worker the gaps lie between the workers */
    TR_PLAN_ONE_NODE = 2, /**< no worker on more than one memory node: up to as many
                               workers as nodes get a node each, more divide them */
    TR_PLAN_BANDWIDTH = 3 /**< memory-bound work: as TR_PLAN_ONE_NODE, and the cores of a
                               worker come from as many L3 caches of its node as there are */
} tr_plan_policy;

enum {
    TR_PLAN_FAST_ONLY = 1u << 0, /**< leave efficient cores of a hybrid to the others */
    TR_PLAN_NO_QUOTA = 1u << 1   /**< ignore the CPU quota of the cgroup */
};

/** Fields are only ever added at the end. Start from TR_PLAN_OPTIONS_INIT. */
typedef struct tr_plan_options {
    uint32_t struct_size;
    uint32_t policy;        /**< tr_plan_policy */
    uint32_t flags;         /**< TR_PLAN_FAST_ONLY, TR_PLAN_NO_QUOTA */
    uint32_t reserve_cores; /**< left free for the rest: efficient ones, then the first */
    uint32_t cores_per_worker; /**< upper bound for each; 0: all there are */
    uint32_t reserved;         /**< 0 */
} tr_plan_options;
TR_ASSERT_SIZE(tr_plan_options, 24);
/* clang-format off */
#define TR_PLAN_OPTIONS_INIT {sizeof(tr_plan_options), TR_PLAN_COMPACT, 0, 0, 0, 0}
/* clang-format on */

/** What kept the workers from using more of the machine. */
typedef enum tr_plan_limit {
    TR_PLAN_LIMIT_MACHINE = 0,  /**< nothing: all its cores are used */
    TR_PLAN_LIMIT_AFFINITY = 1, /**< the mask this process was started with (taskset) */
    TR_PLAN_LIMIT_CPUSET = 2,   /**< the cpuset of its cgroup */
    TR_PLAN_LIMIT_QUOTA = 3 /**< the CPU quota of its cgroup: fewer threads than cores */
} tr_plan_limit;

enum {
    TR_PLAN_WORKER_SHARES = 1u << 0,     /**< its core belongs to other workers too */
    TR_PLAN_WORKER_SPANS_L3 = 1u << 1,   /**< its cores have different L3 caches */
    TR_PLAN_WORKER_SPANS_NODE = 1u << 2, /**< its cores have different memory nodes */
    /** Its cores are the efficient ones of a hybrid. */
    TR_PLAN_WORKER_EFFICIENT = 1u << 3
};

/** The part of one worker. */
typedef struct tr_plan_worker {
    tr_cpuset cpus;
    uint64_t nodes;   /**< bit i: memory node i, those below 64 */
    uint32_t cores;   /**< physical ones */
    uint32_t threads; /**< max(1, min(cores, quota / workers)) */
    uint32_t flags;   /**< TR_PLAN_WORKER_... */
    uint32_t package; /**< of its first core, or TR_PLAN_UNKNOWN; so are these: */
    uint32_t node;
    uint32_t l3;
} tr_plan_worker;
TR_ASSERT_SIZE(tr_plan_worker, 160);

/** One core of the machine, as far as this process may use it. */
typedef struct tr_plan_core {
    uint16_t first_cpu;
    uint16_t cpu_count; /**< siblings that may be used */
    uint16_t package;   /**< UINT16_MAX: unknown; so are these: */
    uint16_t node;
    uint16_t l3;
    uint8_t kind;     /**< 0 fastest, higher is more efficient */
    uint8_t reserved; /**< 1: left free by reserve_cores or TR_PLAN_FAST_ONLY */
} tr_plan_core;
TR_ASSERT_SIZE(tr_plan_core, 12);

/** A plan in memory of the caller: tr_plan_bytes() bytes at a multiple of 8, without pointers. It
 *  can be copied with memcpy(), inherited by a fork, and kept in shared memory or a file for
 *  programs that run with the same version of the library; another refuses it. Threads: any,
 *  while nobody changes it: copy first what another process may write, as tr_plan_get() does. */
typedef struct tr_plan tr_plan;

/** What a plan says of the machine. */
typedef struct tr_plan_info {
    uint32_t struct_size; /**< in: sizeof(tr_plan_info) of the caller */
    uint32_t workers;
    uint32_t policy;
    uint32_t cores; /**< that this process may use, reserved ones among them */
    uint32_t cpus;
    uint32_t machine_cpus; /**< that are online */
    uint32_t reserved_cores;
    uint32_t kinds;           /**< of cores: 1 unless the processor is a hybrid */
    uint32_t limit;           /**< tr_plan_limit */
    uint32_t shared;          /**< 1: more workers than cores */
    int64_t quota_milli_cpus; /**< thousandths of a CPU; -1: none */
    char quota_source[256];   /**< the file that says so */
    tr_cpuset allowed;
} tr_plan_info;
TR_ASSERT_SIZE(tr_plan_info, 432);
#define TR_PLAN_INFO_INIT TR_RESULT_INIT(tr_plan_info)

/** How many bytes a plan takes: some 54 KiB. Threads: any. */
TR_API size_t tr_plan_bytes(void);

/**
 * Look at the machine and cut it. Respected are the affinity mask of the calling process,
 * the cpuset and the CPU quota of its cgroup and of all cgroups above.
 *
 * @param workers  1 to TR_MAX_WORKERS
 * @param options  NULL for defaults
 * @param plan     tr_plan_bytes() bytes of the caller
 * @return 0, TR_EINVAL (the detail says which argument), TR_ENOTSUP (more logical
 *         processors than a plan can name, or no topology), TR_ENOMEM.
 *
 * Owner:    the caller's own memory; nothing to free.
 * Threads:  any. Progress: bounded by the kernel's work. Syscalls: some hundreds (3 ms).
 * Crash:    nothing is shared.
 */
TR_API TR_CHECK int tr_plan_create(uint32_t workers, const tr_plan_options *options,
                                   tr_plan *plan);

/** What it says of the machine.
 *  @return 0, TR_EINVAL (not a plan, struct_size, NULL). Threads: any. Syscalls: none. */
TR_API TR_CHECK int tr_plan_info_get(const tr_plan *plan, tr_plan_info *info);

/** Its workers in order, at most @p capacity of them.
 *  @param element_bytes  sizeof(out[0]) of the caller
 *  @param count          how many were written
 *  @return 0, TR_EINVAL (not a plan, element_bytes, NULL). Threads: any. Syscalls: none. */
TR_API TR_CHECK int tr_plan_workers(const tr_plan *plan, tr_plan_worker *out,
                                    size_t element_bytes, size_t capacity, size_t *count);

/** The cores of the machine, at most @p capacity of them, TR_MAX_CPUS in all.
 *  @param element_bytes  sizeof(out[0]) of the caller
 *  @param count          how many were written
 *  @return as tr_plan_workers(). Threads: any. Syscalls: none. */
TR_API TR_CHECK int tr_plan_cores(const tr_plan *plan, tr_plan_core *out,
                                  size_t element_bytes, size_t capacity, size_t *count);

/**
 * The plan as text: a picture of the machine with the workers on it, a line for each
 * worker, and what limited them.
 * @param buffer  may be NULL if @p capacity is 0
 * @param needed  bytes of the whole text with its 0; may be NULL
 * @return 0, TR_EINVAL (not a plan, NULL), TR_EOVERFLOW (@p buffer is too small).
 * Threads: any. Syscalls: none.
 */
TR_API TR_CHECK int tr_plan_text(const tr_plan *plan, char *buffer, size_t capacity,
                                 size_t *needed);

/**
 * Draw the plan as an SVG file with hwloc's own program lstopo: each worker's cores in its
 * colour. Call it where the plan was made.
 * @return 0, TR_EINVAL (not a plan), TR_ENOTSUP (lstopo is not installed), TR_EIO.
 * Threads: any. Syscalls: many, and a child process. Crash: half a file.
 */
TR_API TR_CHECK int tr_plan_svg(const tr_plan *plan, const char *path);

/** Write @p set as the kernel writes lists ("0-3,8").
 *  @param buffer  may be NULL if @p capacity is 0
 *  @param needed  bytes of the whole list with its 0; may be NULL
 *  @return 0, TR_EINVAL (NULL), TR_EOVERFLOW (@p buffer is too small).
 *  Threads: any. Syscalls: none. */
TR_API TR_CHECK int tr_cpuset_text(const tr_cpuset *set, char *buffer, size_t capacity,
                                   size_t *needed);

/** How many processors are in @p set. Threads: any. */
TR_API uint32_t tr_cpuset_count(const tr_cpuset *set);

TR_END_DECLS
#endif
