/* SPDX-License-Identifier: MIT */
#include "ipc/signal/uring_futex.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/kernel/os.h"

/* linux/io_uring.h and linux/futex.h of 6.7; our headers may be older. */
#define OP_FUTEX_WAIT 51
#define SIZE_U32      0x02
#define MATCH_ANY     UINT32_MAX

#define PROBE_MS 50

/* A program that closes all descriptors, as daemons do, may have a file of its own by our
 * number. */
static bool is_ours(const struct uring_futex *uring)
{
    struct stat st;

    return fstat(uring->ring.ring_fd, &st) == 0 && st.st_ino == uring->ino &&
           st.st_dev == uring->dev;
}

static void remember(struct uring_futex *uring)
{
    struct stat st;

    if (fstat(uring->ring.ring_fd, &st) < 0)
        return;
    uring->ino = st.st_ino;
    uring->dev = st.st_dev;
}

int uring_futex_open(struct uring_futex *uring)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER};
    int saved = errno, result;

    memset(uring, 0, sizeof(*uring));
    result = io_uring_queue_init_params(4, &uring->ring, &params);
    uring->open = result == 0;
    if (uring->open)
        remember(uring);
    uring->thread = pthread_self();
    errno = saved;
    return result;
}

void uring_futex_close(struct uring_futex *uring)
{
    int saved = errno;

    if (uring->open && !is_ours(uring))
        uring->ring.ring_fd = -1; /* unmap, and close nothing */
    if (uring->open)
        io_uring_queue_exit(&uring->ring);
    uring->open = false;
    errno = saved;
}

int uring_futex_fd(const struct uring_futex *uring)
{
    return uring->ring.ring_fd;
}

bool uring_futex_mine(const struct uring_futex *uring)
{
    return pthread_equal(uring->thread, pthread_self());
}

int uring_futex_arm(struct uring_futex *uring, const _Atomic uint32_t *word,
                    uint32_t seen)
{
    struct io_uring_sqe *sqe;
    int saved = errno, result;

    if (uring->waiting)
        return 0; /* it still is in the futex's queue: the next wake finds it */
    if (!is_ours(uring)) {
        errno = saved;
        return -EBADF;
    }
    sqe = io_uring_get_sqe(&uring->ring);
    if (!sqe)
        return -EBUSY;
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = OP_FUTEX_WAIT;
    sqe->fd = SIZE_U32; /* shared, as the waker's call is */
    sqe->addr = (uint64_t)(uintptr_t)word;
    sqe->addr2 = seen;
    sqe->addr3 = MATCH_ANY;
    result = io_uring_submit(&uring->ring);
    errno = saved;
    if (result < 0)
        return result;
    uring->waiting = true;
    return 0;
}

void uring_futex_clear(struct uring_futex *uring)
{
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
        io_uring_cqe_seen(&uring->ring, cqe);
        uring->waiting = false;
    }
}

/* The completion itself may interrupt the call. */
static int poll_patiently(struct pollfd *poller)
{
    int got;

    do {
        got = poll(poller, 1, PROBE_MS);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* A wake-up from end to end: the call is there, the operation is known, polling works. */
static bool probe(void)
{
    _Atomic uint32_t word = 0; /* local: */
    struct uring_futex uring;
    struct pollfd poller = {.events = POLLIN};
    bool works = false;

    if (uring_futex_open(&uring) < 0)
        return false;
    if (uring_futex_arm(&uring, &word, 0) == 0) {
        poller.fd = uring_futex_fd(&uring);
        works = poll(&poller, 1, 0) == 0 && os_kernel.futex_wake(&word, 1) == 1 &&
                poll_patiently(&poller) == 1;
    }
    uring_futex_close(&uring);
    return works;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool works_here;

static void find_out(void)
{
    int saved = errno;

    works_here = probe();
    errno = saved;
}

bool uring_futex_works(void)
{
    pthread_once(&once, find_out);
    return works_here;
}
