/* SPDX-License-Identifier: MIT */
#include "src/base/whois.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ipc/hooks.h"
#include "ipc/liveness/participant.h"

/* Field 3 of /proc/PID/stat (proc(5)); 0 if it can't be read. */
static char state_of(uint32_t pid)
{
    char path[32], text[512];
    const char *at;
    ssize_t got;
    int fd, saved = errno;

    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    errno = saved;
    if (got <= 0)
        return 0;
    text[got] = 0;
    at = strrchr(text, ')'); /* a name may hold anything */
    return at && at[1] == ' ' ? at[2] : 0;
}

const char *whois_state(const struct view *view, uint32_t me, uint32_t who)
{
    struct participant *entry;

    if (who >= view->geo.participant_count)
        return "dead";
    entry = view_participant(view, who);
    /* E4 acquire: as in participant.c. */
    if (PARTICIPANT_STATE(shm_load(&entry->word, E4_LOOK)) == PARTICIPANT_DRAINING)
        return "dead, but its device has not stopped";
    if (hooks->dead(view, who))
        return "dead";
    if (shm_get(&entry->pid_ns) != shm_get(&view_participant(view, me)->pid_ns))
        return "in another pid namespace";
    switch (state_of(shm_get(&entry->pid))) {
    case 'R':
        return "running";
    case 'S':
    case 'I':
        return "sleeping";
    case 'D':
        return "waiting for a device";
    case 'T':
        return "stopped";
    case 't':
        return "stopped by a debugger";
    case 'Z':
    case 'X':
        return "ending";
    default:
        return "state unknown";
    }
}
