/* SPDX-License-Identifier: MIT */
#include "stage.h"

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

struct stage {
    unsigned members;
    unsigned lanes;
    struct end lane[STAGE_LANES]; /* of this process, in a member */
    pid_t pid[STAGE_MEMBERS];
    int wire[STAGE_MEMBERS]; /* tasks go out, a byte comes back */
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

unsigned stage_processors(void)
{
    int list[STAGE_MEMBERS];

    return allowed_processors(list, STAGE_MEMBERS);
}

bool stage_pinned(void)
{
    return all_pinned;
}

static bool pin(unsigned member, unsigned members)
{
    int list[STAGE_MEMBERS];
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
    end->crowded = members > stage_processors();
    const bool pinned = pin(member, members);
    end->out = private_memory(bytes);
    end->in = private_memory(bytes);
    return pinned;
}

static bool enter_lanes(struct stage *stage, unsigned member)
{
    struct end common = {0};
    size_t most = 0;

    for (unsigned i = 0; i < stage->lanes; i++)
        if (stage->lane[i].bytes > most)
            most = stage->lane[i].bytes;
    const bool pinned = member_prepare(&common, member, stage->members, most);
    for (unsigned i = 0; i < stage->lanes; i++) {
        struct end *end = &stage->lane[i];
        end->member = common.member;
        end->side = common.side;
        end->crowded = common.crowded;
        end->out = common.out;
        end->in = common.in;
        const int err = end->transport->enter ? end->transport->enter(end) : 0;
        if (err)
            die("%s: %s", end->transport->name, strerror(-err));
    }
    return pinned;
}

static void perform(struct stage *stage, const struct task *task, struct result *result)
{
    struct end *end = &stage->lane[task->lane];
    const uint64_t everybody = task->serial * stage->members;

    memset(result, 0, sizeof *result);
    end->mode = task->mode;
    end->touch = task->touch;
    if (end->transport->configure)
        end->transport->configure(end);

    atomic_fetch_add_explicit(&stage->meeting->arrived, 1, memory_order_acq_rel);
    while (atomic_load_explicit(&stage->meeting->arrived, memory_order_acquire) <
           everybody)
        sched_yield();

    const uint64_t faults = page_faults();
    const uint64_t cpu = processor_time_ns();
    const uint64_t start = clock_ns();
    task->run(end, task, stage->meeting, result);
    result->elapsed_ns = clock_ns() - start;
    result->cpu_ns = processor_time_ns() - cpu;
    result->faults = page_faults() - faults;
}

static _Noreturn void member_main(struct stage *stage, unsigned member, int wire)
{
    struct task task;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char pinned = enter_lanes(stage, member) ? 1 : 0;
    if (write(wire, &pinned, 1) != 1)
        _exit(1);
    while (read(wire, &task, sizeof task) == sizeof task) {
        perform(stage, &task, &stage->results[member]);
        if (write(wire, &pinned, 1) != 1)
            _exit(1);
    }
    _exit(0);
}

/* ---- the parent ---- */

struct stage *stage_new(unsigned members)
{
    struct stage *stage = calloc(1, sizeof *stage);

    if (!stage)
        die("no memory");
    stage->members = members;
    stage->meeting = map_shared(sizeof *stage->meeting);
    stage->results = map_shared(members * sizeof *stage->results);
    return stage;
}

int stage_add(struct stage *stage, const struct transport *transport, size_t bytes)
{
    if (stage->lanes == STAGE_LANES)
        die("more than %u transports at once", STAGE_LANES);
    struct end *lane = &stage->lane[stage->lanes];
    *lane = (struct end){.transport = transport, .bytes = bytes};
    const int err = transport->open(bytes, &lane->state);
    if (err)
        return err;
    return (int)stage->lanes++;
}

static _Noreturn void give_up(struct stage *stage)
{
    for (unsigned i = 0; i < stage->members; i++)
        kill(stage->pid[i], SIGKILL);
    die("a process of the measurement failed");
}

/* Wait for a byte from every member; true if all of them are 1. Who dies is noticed at
 * once, though the others may wait for it for ever. */
static bool all_replied(struct stage *stage)
{
    struct pollfd polled[STAGE_MEMBERS];
    unsigned left = stage->members;
    bool good = true;

    for (unsigned i = 0; i < stage->members; i++)
        polled[i] = (struct pollfd){.fd = stage->wire[i], .events = POLLIN};
    while (left > 0) {
        if (poll(polled, stage->members, -1) < 0 && errno != EINTR)
            die("poll: %s", strerror(errno));
        for (unsigned i = 0; i < stage->members; i++) {
            char reply;
            if (polled[i].fd < 0 || !polled[i].revents)
                continue;
            if (read(stage->wire[i], &reply, 1) != 1)
                give_up(stage);
            good = good && reply;
            polled[i].fd = -1; /* poll() passes it by */
            left--;
        }
    }
    return good;
}

void stage_start(struct stage *stage)
{
    fflush(NULL);
    for (unsigned i = 0; i < stage->members; i++) {
        int wire[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire) != 0)
            die("socketpair: %s", strerror(errno));
        stage->wire[i] = wire[0];
        stage->pid[i] = fork();
        if (stage->pid[i] < 0)
            die("fork: %s", strerror(errno));
        if (stage->pid[i] == 0) {
            for (unsigned j = 0; j <= i; j++)
                close(stage->wire[j]);
            member_main(stage, i, wire[1]);
        }
        close(wire[1]);
    }
    if (!all_replied(stage))
        all_pinned = false;
}

void stage_run(struct stage *stage, const struct task *task)
{
    struct task copy = *task;

    copy.serial = ++stage->serial;
    for (unsigned i = 0; i < stage->members; i++)
        if (write(stage->wire[i], &copy, sizeof copy) != sizeof copy)
            die("a process of the measurement is gone");
    (void)all_replied(stage);
}

const struct result *stage_result(const struct stage *stage, unsigned member)
{
    return &stage->results[member];
}

unsigned stage_members(const struct stage *stage)
{
    return stage->members;
}

const struct transport *stage_transport(const struct stage *stage, unsigned lane)
{
    return stage->lane[lane].transport;
}

size_t stage_bytes(const struct stage *stage, unsigned lane)
{
    return stage->lane[lane].bytes;
}

void stage_end(struct stage *stage)
{
    for (unsigned i = 0; i < stage->members; i++)
        close(stage->wire[i]); /* the member reads the end and leaves */
    for (unsigned i = 0; i < stage->members; i++)
        if (stage->pid[i] > 0)
            waitpid(stage->pid[i], NULL, 0);
    for (unsigned i = 0; i < stage->lanes; i++)
        stage->lane[i].transport->close(stage->lane[i].state);
    unmap_shared(stage->meeting, sizeof *stage->meeting);
    unmap_shared(stage->results, stage->members * sizeof *stage->results);
    free(stage);
}
