/* SPDX-License-Identifier: MIT */
/* enter.h - put a process on its part of a plan: its cores, and as many threads.
 *
 * Call tr_worker_prefork() in the master before each fork, tr_worker_enter() in the child, best
 * before it loads its libraries, and tr_worker_thread_enter() in each thread that computes:
 * OpenMP's count belongs to a thread, not to the process. What the kernel or a library
 * refuses is reported and harms nothing. */
#ifndef TENSORING_ENTER_H
#define TENSORING_ENTER_H

#include <tensoring/plan.h>

TR_BEGIN_DECLS

#define TR_REPORT_LIBRARIES 32  /**< libraries that a report has room for */
#define TR_REPORT_PATH      232 /**< bytes of a library's path, with its 0 */

/** What a count of threads applies to. */
typedef enum tr_scope {
    TR_SCOPE_PROCESS = 0, /**< every thread */
    TR_SCOPE_THREAD = 1, /**< the thread that sets it; others: tr_worker_thread_enter() */
    TR_SCOPE_OBJECT = 2  /**< each object takes its own when it is made: nothing to set */
} tr_scope;

/** One library with threads of its own that is loaded in this process. */
typedef struct tr_thread_library {
    char kind[24]; /**< openblas, mkl, blis, flexiblas, libgomp, libomp, torch, lightgbm,
                        onnxruntime */
    char path[TR_REPORT_PATH]; /**< of the library; "" is the program itself */
    int32_t before;            /**< threads it would have used; -1: it does not tell */
    int32_t after;             /**< what it tells now */
    uint32_t scope;            /**< tr_scope */
    uint32_t reserved;
} tr_thread_library;
TR_ASSERT_SIZE(tr_thread_library, 272);

enum {
    TR_ENTER_NO_BIND = 1u << 0,     /**< leave the affinity mask alone */
    TR_ENTER_NO_ENV = 1u << 1,      /**< leave the environment alone */
    TR_ENTER_KEEP_ENV = 1u << 2,    /**< set only variables that are not set */
    TR_ENTER_NO_LIBRARIES = 1u << 3 /**< leave loaded libraries alone */
};

/** What tr_worker_enter() found and did. */
typedef struct tr_worker_report {
    uint32_t struct_size;   /**< in: sizeof(tr_worker_report) of the caller */
    uint32_t library_bytes; /**< in: sizeof(tr_thread_library) of the caller */
    uint32_t index;
    uint32_t threads;       /**< that this worker may use */
    uint32_t tasks;         /**< threads that were there and are bound now */
    int32_t bind_error;     /**< 0, or the TR_E... with which the kernel refused */
    uint32_t library_count; /**< found; the first TR_REPORT_LIBRARIES are listed */
    uint32_t reserved;
    tr_cpuset before; /**< mask of the calling thread */
    tr_cpuset after;
    tr_thread_library libraries[TR_REPORT_LIBRARIES];
} tr_worker_report;
TR_ASSERT_SIZE(tr_worker_report, 32 + 2 * 128 + TR_REPORT_LIBRARIES * 272);
/* clang-format off */
#ifdef __cplusplus
#define TR_WORKER_REPORT_INIT                                         \
    ([]() -> tr_worker_report {                                       \
        tr_worker_report tr_made_ = tr_worker_report();               \
        tr_made_.struct_size = (uint32_t)sizeof(tr_worker_report);    \
        tr_made_.library_bytes = (uint32_t)sizeof(tr_thread_library); \
        return tr_made_;                                              \
    }())
#else
#define TR_WORKER_REPORT_INIT \
    {.struct_size = sizeof(tr_worker_report), .library_bytes = sizeof(tr_thread_library)}
#endif
/* clang-format on */

/**
 * Before a fork: let OpenMP runtimes that would hang in the child give up their threads;
 * they start new ones when next needed. GNU's libgomp hangs a child in its first parallel
 * region if the thread that forked had ever run one; LLVM's and Intel's do not, and must
 * not be asked. Call it in the thread that forks.
 *
 * @param paused  how many runtimes were asked; may be NULL
 * @return 0, TR_EBUSY (called inside a parallel region), TR_ENOTSUP (a libgomp without
 *         omp_pause_resource_all(), before GCC 9), TR_ENOMEM.
 * Threads: one. Syscalls: none or a few. Crash: nothing is shared.
 */
TR_API TR_CHECK int tr_worker_prefork(uint32_t *paused);

/**
 * Become worker @p index of @p plan: bind all threads of the process to its cores, put its
 * thread count into the environment (OMP_NUM_THREADS and its kin, TENSORING_WORKER=i/n) for
 * what is loaded later, and into every library with threads of its own that is loaded already,
 * found by its symbols whatever the file is called. Calling it again changes what is different.
 *
 * @param flags   TR_ENTER_...
 * @param report  may be NULL
 * @return 0, also if the kernel refused to bind (report.bind_error); TR_EINVAL (not a plan,
 *         no such worker, flags, struct_size, library_bytes), TR_ENOMEM.
 *
 * Threads:  one: it changes the environment, so no other thread may read it meanwhile.
 * Progress: bounded by the kernel's work. Syscalls: some dozens.
 * Crash:    nothing is shared.
 */
TR_API TR_CHECK int tr_worker_enter(const tr_plan *plan, uint32_t index, uint32_t flags,
                                    tr_worker_report *report);

/**
 * Give this thread the worker's thread count, where a library keeps one for each thread:
 * the initializer of a thread pool. Cheap when nothing has changed since.
 *
 * @return 0, TR_EINVAL (the process has not entered a plan), TR_ENOMEM.
 * Threads: any. Syscalls: none. Crash: nothing is shared.
 */
TR_API TR_CHECK int tr_worker_thread_enter(void);

/** Put back what tr_worker_enter() changed: masks, environment, thread counts. Never fails;
 *  does nothing outside a worker. Threads: one, as tr_worker_enter(). */
TR_API void tr_worker_leave(void);

/** This process's index and thread count since tr_worker_enter(), or TR_PLAN_UNKNOWN and 1.
 *  Threads: any. */
TR_API uint32_t tr_worker_index(void);
TR_API uint32_t tr_worker_threads(void);

/**
 * Ask for memory to lie on the memory nodes of worker @p index, e.g. an arena that one
 * worker reads. Pages that are there move if only this process maps them.
 *
 * @param address  rounded down to a page
 * @return 0, TR_EINVAL, TR_ENOTSUP (the machine shows no memory nodes, or the kernel cannot),
 *         TR_EPERM (default in containers: ask for CAP_SYS_NICE), TR_ENOMEM.
 * Threads: any. Syscalls: one. Crash: nothing is lost.
 */
TR_API TR_CHECK int tr_worker_bind_memory(const tr_plan *plan, uint32_t index,
                                          void *address, size_t bytes);

/**
 * The libraries with threads of their own that are loaded now, at most @p capacity of them; before
 * and after are both what they tell.
 * @param element_bytes  sizeof(out[0]) of the caller
 * @param count          how many there are
 * @return 0, TR_EINVAL (element_bytes, NULL), TR_ENOMEM. Threads: any. Syscalls: none.
 */
TR_API TR_CHECK int tr_worker_libraries(tr_thread_library *out, size_t element_bytes,
                                        size_t capacity, size_t *count);

TR_END_DECLS
#endif
