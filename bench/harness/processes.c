/* SPDX-License-Identifier: MIT */
#include "harness/processes.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct processes {
    unsigned members;
    unsigned lanes;
    struct end lane[PROCESSES_LANES]; /* of this process, in a member */
    pid_t pid[PROCESSES_MEMBERS];
    int wire[PROCESSES_MEMBERS]; /* tasks go out, a byte comes back */
    struct meeting *meeting;
    struct result *results; /* shared, one a member */
    uint64_t serial;
};

static bool all_pinned = true;

/* ---- processors ---- */

static unsigned allowed_processors(int list[], unsigned capacity)
{
    cpu_set_t set;
    unsigned count = 0;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        die("sched_getaffinity: %s", strerror(errno));
    for (int cpu = 0; cpu < CPU_SETSIZE && count < capacity; cpu++)
        if (CPU_ISSET((size_t)cpu, &set))
            list[count++] = cpu;
    return count;
}

unsigned processes_processors(void)
{
    int list[PROCESSES_MEMBERS];

    return allowed_processors(list, PROCESSES_MEMBERS);
}

bool processes_pinned(void)
{
    return all_pinned;
}

static bool pin(unsigned member, unsigned members)
{
    int list[PROCESSES_MEMBERS];
    cpu_set_t set;
    const unsigned count = allowed_processors(list, members);
    const int cpu = list[member * count / members];

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 && sched_getcpu() == cpu &&
           count >= 2;
}

/* ---- a member ---- */

static uint64_t processor_time_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static uint64_t page_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

static uint8_t *private_memory(size_t bytes)
{
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        die("cannot map %zu bytes: %s", bytes, strerror(errno));
    memset(memory, 1, bytes);
    return memory;
}

bool member_prepare(struct end *end, unsigned member, unsigned members, size_t bytes)
{
    bytes = bytes < 4096 ? 4096 : bytes;
    end->member = member;
    end->side = member * 2 / members;
    end->oversubscribed = members > processes_processors();
    const bool pinned = pin(member, members);
    end->out = private_memory(bytes);
    end->in = private_memory(bytes);
    return pinned;
}

static bool enter_lanes(struct processes *processes, unsigned member)
{
    struct end common = {0};
    size_t most = 0;

    for (unsigned i = 0; i < processes->lanes; i++)
        if (processes->lane[i].bytes > most)
            most = processes->lane[i].bytes;
    const bool pinned = member_prepare(&common, member, processes->members, most);
    for (unsigned i = 0; i < processes->lanes; i++) {
        struct end *end = &processes->lane[i];
        end->member = common.member;
        end->side = common.side;
        end->oversubscribed = common.oversubscribed;
        end->out = common.out;
        end->in = common.in;
        const int err = end->transport->enter ? end->transport->enter(end) : 0;
        if (err)
            die("%s: %s", end->transport->name, strerror(-err));
    }
    return pinned;
}

static void perform(struct processes *processes, const struct task *task,
                    struct result *result)
{
    struct end *end = &processes->lane[task->lane];
    const uint64_t everybody = task->serial * processes->members;

    memset(result, 0, sizeof *result);
    end->mode = task->mode;
    end->touch = task->touch;
    if (end->transport->configure)
        end->transport->configure(end);

    atomic_fetch_add_explicit(&processes->meeting->arrived, 1, memory_order_acq_rel);
    while (atomic_load_explicit(&processes->meeting->arrived, memory_order_acquire) <
           everybody)
        sched_yield();

    const uint64_t faults = page_faults();
    const uint64_t cpu = processor_time_ns();
    const uint64_t start = clock_ns();
    task->run(end, task, processes->meeting, result);
    result->elapsed_ns = clock_ns() - start;
    result->cpu_ns = processor_time_ns() - cpu;
    result->faults = page_faults() - faults;
}

static _Noreturn void member_main(struct processes *processes, unsigned member, int wire)
{
    struct task task;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char pinned = enter_lanes(processes, member) ? 1 : 0;
    if (write(wire, &pinned, 1) != 1)
        _exit(1);
    while (read(wire, &task, sizeof task) == sizeof task) {
        perform(processes, &task, &processes->results[member]);
        if (write(wire, &pinned, 1) != 1)
            _exit(1);
    }
    _exit(0);
}

/* ---- the parent ---- */

struct processes *processes_new(unsigned members)
{
    struct processes *processes = calloc(1, sizeof *processes);

    if (!processes)
        die("no memory");
    processes->members = members;
    processes->meeting = map_shared(sizeof *processes->meeting);
    processes->results = map_shared(members * sizeof *processes->results);
    return processes;
}

int processes_add(struct processes *processes, const struct transport *transport,
                  size_t bytes)
{
    if (processes->lanes == PROCESSES_LANES)
        die("more than %u transports at once", PROCESSES_LANES);
    struct end *lane = &processes->lane[processes->lanes];
    *lane = (struct end){.transport = transport, .bytes = bytes};
    const int err = transport->open(bytes, &lane->state);
    if (err)
        return err;
    return (int)processes->lanes++;
}

static _Noreturn void give_up(struct processes *processes)
{
    for (unsigned i = 0; i < processes->members; i++)
        kill(processes->pid[i], SIGKILL);
    die("a process of the measurement failed");
}

/* Wait for a byte from every member; true if all of them are 1. A death is noticed at
 * once, though the others may wait forever. */
static bool all_replied(struct processes *processes)
{
    struct pollfd polled[PROCESSES_MEMBERS];
    unsigned left = processes->members;
    bool good = true;

    for (unsigned i = 0; i < processes->members; i++)
        polled[i] = (struct pollfd){.fd = processes->wire[i], .events = POLLIN};
    while (left > 0) {
        if (poll(polled, processes->members, -1) < 0 && errno != EINTR)
            die("poll: %s", strerror(errno));
        for (unsigned i = 0; i < processes->members; i++) {
            char reply;
            if (polled[i].fd < 0 || !polled[i].revents)
                continue;
            if (read(processes->wire[i], &reply, 1) != 1)
                give_up(processes);
            good = good && reply;
            polled[i].fd = -1; /* poll() passes it by */
            left--;
        }
    }
    return good;
}

void processes_start(struct processes *processes)
{
    fflush(NULL);
    for (unsigned i = 0; i < processes->members; i++) {
        int wire[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire) != 0)
            die("socketpair: %s", strerror(errno));
        processes->wire[i] = wire[0];
        processes->pid[i] = fork();
        if (processes->pid[i] < 0)
            die("fork: %s", strerror(errno));
        if (processes->pid[i] == 0) {
            for (unsigned j = 0; j <= i; j++)
                close(processes->wire[j]);
            member_main(processes, i, wire[1]);
        }
        close(wire[1]);
    }
    if (!all_replied(processes))
        all_pinned = false;
}

void processes_run(struct processes *processes, const struct task *task)
{
    struct task copy = *task;

    copy.serial = ++processes->serial;
    for (unsigned i = 0; i < processes->members; i++)
        if (write(processes->wire[i], &copy, sizeof copy) != sizeof copy)
            die("a process of the measurement is gone");
    (void)all_replied(processes);
}

const struct result *processes_result(const struct processes *processes, unsigned member)
{
    return &processes->results[member];
}

unsigned processes_members(const struct processes *processes)
{
    return processes->members;
}

const struct transport *processes_transport(const struct processes *processes,
                                            unsigned lane)
{
    return processes->lane[lane].transport;
}

size_t processes_bytes(const struct processes *processes, unsigned lane)
{
    return processes->lane[lane].bytes;
}

void processes_end(struct processes *processes)
{
    for (unsigned i = 0; i < processes->members; i++)
        close(processes->wire[i]); /* the member reads the end and leaves */
    for (unsigned i = 0; i < processes->members; i++)
        if (processes->pid[i] > 0)
            waitpid(processes->pid[i], NULL, 0);
    for (unsigned i = 0; i < processes->lanes; i++)
        processes->lane[i].transport->close(processes->lane[i].state);
    unmap_shared(processes->meeting, sizeof *processes->meeting);
    unmap_shared(processes->results, processes->members * sizeof *processes->results);
    free(processes);
}
