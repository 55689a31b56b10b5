/* SPDX-License-Identifier: MIT */
#include "ipc/names/arrival.h"

#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "ipc/kernel/beyond.h"
#include "ipc/kernel/os.h"
#include "ipc/memory/segment.h"

#define PAUSE_NS 10000000 /* between looks where there is no watch */

void arrival_begin(struct arrival *arrival)
{
    int fd = beyond_standard(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));

    if (fd >= 0 &&
        inotify_add_watch(fd, SEGMENT_DIRECTORY, IN_CREATE | IN_MOVED_TO) < 0) {
        close(fd);
        fd = -1;
    }
    arrival->fd = fd;
}

/* What the events say does not matter: the name is looked at again. */
static void drain(int fd)
{
    char events[4096];

    while (read(fd, events, sizeof(events)) > 0)
        continue;
}

int arrival_wait(const struct arrival *arrival, int64_t until_ns)
{
    struct pollfd poller = {.fd = arrival->fd, .events = POLLIN};
    int64_t left_ns = until_ns - os->now_ns();
    struct timespec left;
    int count;

    if (left_ns <= 0)
        return -ETIMEDOUT;
    if (arrival->fd < 0 && left_ns > PAUSE_NS)
        left_ns = PAUSE_NS;
    left = (struct timespec){left_ns / 1000000000, left_ns % 1000000000};
    count = ppoll(&poller, 1, &left, NULL);
    if (count < 0)
        return -errno;
    if (count > 0)
        drain(arrival->fd);
    return 0;
}

void arrival_end(struct arrival *arrival)
{
    if (arrival->fd >= 0)
        close(arrival->fd);
    arrival->fd = -1;
}
