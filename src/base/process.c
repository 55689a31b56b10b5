/* SPDX-License-Identifier: MIT */
#include "src/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ipc/kernel/uncancel.h"

/* The text of a file that fits into @p room bytes. 0, -errno. */
static int slurp(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;
    int saved;

    if (fd < 0)
        return -errno;
    got = read(fd, text, room - 1);
    saved = errno;
    close(fd);
    if (got <= 0)
        return got < 0 ? -saved : -ESRCH;
    text[got] = 0;
    return 0;
}

/* A process chooses its name: what is not printable becomes '?'. */
static void copy_name(char *to, size_t room, const char *from, size_t length)
{
    size_t n = length < room ? length : room - 1;

    for (size_t i = 0; i < n; i++)
        to[i] = (unsigned char)from[i] < ' ' || from[i] == 0x7f ? '?' : from[i];
    to[n] = 0;
}

/* The state, the time and the name out of /proc/PID/stat. */
static int parse(const char *text, struct process *out)
{
    const char *open_at = strchr(text, '(');
    const char *at = strrchr(text, ')'); /* a name may hold anything */

    if (!open_at || !at || at < open_at ||
        sscanf(at + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
               "%*d %*d %lu",
               &out->state, &out->start_time) != 2)
        return -EIO;
    copy_name(out->name, sizeof(out->name), open_at + 1, (size_t)(at - open_at - 1));
    return 0;
}

int process_read(uint32_t pid, struct process *out)
{
    char path[32], text[1024];
    int cancel = uncancel_begin(), result;

    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    result = slurp(path, text, sizeof(text));
    uncancel_end(cancel);
    return result < 0 ? result : parse(text, out);
}

const char *process_state_text(char state)
{
    static const struct {
        char state;
        const char *text;
    } names[] = {
        {'R', "running (R)"},
        {'S', "asleep (S)"},
        {'D', "waiting for a device or a lock (D)"},
        {'T', "stopped (T)"},
        {'t', "stopped by a debugger (t)"},
        {'Z', "a zombie (Z)"},
        {'X', "dead (X)"},
        {'I', "idle (I)"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].state == state)
            return names[i].text;
    return "in an unknown state";
}
