/* SPDX-License-Identifier: MIT */
/* faults: page faults and system calls a message, after warm-up. Both processes run under
 * ptrace; a getppid() at either end marks what is counted. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "harness/bench.h"
#include "harness/report.h"

#define WARM_UP 2000u

struct counts {
    _Atomic uint64_t faults;
    _Atomic uint64_t syscalls;
};

static uint64_t faults_now(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

static _Noreturn void side_main(struct end *end, unsigned member, uint64_t count,
                                struct counts *counts)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)member_prepare(end, member, 2, end->bytes);
    if (end->transport->enter && end->transport->enter(end) != 0)
        _exit(1);
    if (end->transport->configure)
        end->transport->configure(end);
    round_trips(end, end->bytes > 65536 ? WARM_UP / 20 : WARM_UP);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
        _exit(2);
    const uint64_t before = faults_now();
    syscall(SYS_getppid);
    round_trips(end, count);
    syscall(SYS_getppid);
    atomic_fetch_add_explicit(&counts->faults, faults_now() - before,
                              memory_order_relaxed);
    _exit(0);
}

/* Entered system call number, or -1 when it is left. */
static long entered_call(pid_t pid)
{
    struct ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return -1;
    return (long)info.entry.nr;
}

/* Watch both until they are gone; false if they could not be traced. */
static bool watch(const pid_t pid[2], struct counts *counts)
{
    bool counting[2] = {false, false}, traced = true;
    unsigned alive = 2;

    while (alive > 0) {
        int status;
        const pid_t who = waitpid(-1, &status, 0);
        const unsigned i = who == pid[1];
        if (who < 0)
            return false;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            traced = traced && WIFEXITED(status) && WEXITSTATUS(status) == 0;
            alive--;
            continue;
        }
        int deliver = 0;
        if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            const long call = entered_call(who);
            if (call == SYS_getppid)
                counting[i] = !counting[i];
            else if (call >= 0 && counting[i])
                atomic_fetch_add_explicit(&counts->syscalls, 1, memory_order_relaxed);
        } else if (WSTOPSIG(status) == SIGSTOP) {
            ptrace(PTRACE_SETOPTIONS, who, NULL,
                   (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
        } else {
            deliver = WSTOPSIG(status);
        }
        ptrace(PTRACE_SYSCALL, who, NULL, (void *)(long)deliver);
    }
    return traced;
}

void faults_of(const struct transport *transport, size_t bytes, enum mode mode,
               uint64_t messages, double *faults, double *syscalls)
{
    struct counts *counts = map_shared(sizeof *counts);
    pid_t pid[2];
    struct end end = {
        .transport = transport, .bytes = bytes, .mode = mode, .touch = TOUCH_READWRITE};

    *faults = *syscalls = -1;
    if (transport->open(bytes, &end.state) != 0)
        return;
    for (unsigned i = 0; i < 2; i++) {
        pid[i] = fork();
        if (pid[i] < 0)
            die("fork: %s", strerror(errno));
        if (pid[i] == 0)
            side_main(&end, i, messages / 2, counts);
    }
    if (watch(pid, counts)) {
        *faults = (double)atomic_load(&counts->faults) / (double)messages;
        *syscalls = (double)atomic_load(&counts->syscalls) / (double)messages;
    }
    transport->close(end.state);
    unmap_shared(counts, sizeof *counts);
}

void case_faults(const struct options *options)
{
    static const size_t sizes[] = {64, 65536, 1 << 20};
    const uint64_t messages = options->seconds < 1 ? 200 : 4000;

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const size_t bytes = options->bytes ? options->bytes : sizes[s];
        for (size_t i = 0; i < transport_count; i++) {
            const struct transport *t = transports[i];
            const enum mode mode = t->modes & options->modes & MODE_SPIN ? MODE_SPIN
                                                                         : MODE_BLOCK;
            struct row row = {.name = "faults",
                              .transport = t->name,
                              .mode = mode,
                              .touch = TOUCH_READWRITE,
                              .bytes = (double)bytes,
                              .counted = true};
            if (!wanted(options, t) || !(t->modes & mode & options->modes))
                continue;
            faults_of(t, bytes, mode, messages, &row.faults_per_message,
                      &row.syscalls_per_message);
            if (row.faults_per_message >= 0)
                report_row(&row);
        }
        if (options->bytes)
            break;
    }
}
