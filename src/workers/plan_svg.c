/* SPDX-License-Identifier: MIT */
/* A drawing by lstopo, which reads a topology in XML: each worker's processors are marked in it. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/kernel/beyond.h"
#include "ipc/kernel/limits.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/workers/plan_internal.h"

extern char **environ;

/* Light enough for black text; neighbours differ. */
static const char *const colours[] = {"#8dd3c7", "#ffffb3", "#bebada", "#fb8072",
                                      "#80b1d3", "#fdb462", "#b3de69", "#fccde5",
                                      "#d9d9d9", "#bc80bd", "#ccebc5", "#ffed6f"};

/* The colour of the first worker, the names of all. */
static void mark_one(hwloc_topology_t topology, const tr_plan *plan, hwloc_obj_t pu)
{
    bool coloured = false;
    char text[64];

    for (uint32_t i = 0; i < plan->workers && pu->os_index < TR_MAX_CPUS; i++) {
        if (!set_has(&plan->worker[i].cpus, pu->os_index))
            continue;
        if (!coloured) {
            snprintf(text, sizeof(text), "Background=%s",
                     colours[i % (sizeof(colours) / sizeof(colours[0]))]);
            (void)hwloc_obj_add_info(pu, "lstopoStyle", text);
        }
        coloured = true;
        snprintf(text, sizeof(text), "worker %u", i);
        (void)hwloc_topology_insert_misc_object(topology, pu, text);
    }
}

static void mark(hwloc_topology_t topology, const tr_plan *plan)
{
    hwloc_obj_t pu = NULL;

    while ((pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)))
        mark_one(topology, plan, pu);
}

/* The marked topology as an anonymous file, for the child to read. -1 on failure. */
static int marked_xml(const tr_plan *plan)
{
    hwloc_topology_t topology;
    char *xml = NULL;
    int length = 0, fd = -1, result = plan_topology(&topology);

    if (result)
        return -1;
    mark(topology, plan);
    if (!hwloc_topology_export_xmlbuffer(topology, &xml, &length, 0)) {
        fd = beyond_standard(memfd_create("tensoring-plan", MFD_CLOEXEC));
        if (fd >= 0 && (!limits_may_write((uint64_t)length) ||
                        write(fd, xml, (size_t)length - 1) != length - 1)) {
            close(fd);
            fd = -1;
        }
        hwloc_free_xmlbuffer(topology, xml);
    }
    hwloc_topology_destroy(topology);
    return fd;
}

/* What the shell and posix_spawn() say of a program that could not be started. */
#define NOT_STARTED 127

/* Whether the program ran at all. posix_spawnp() says so itself where its child shares our
 * memory until then; under valgrind and qemu-user it does not, and only the status tells. */
static int started(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == NOT_STARTED ? ENOENT : 0;
}

/* Nothing is printed. 0, ENOENT: there is no such program, or another error of its start. */
static int draw(const char *program, int xml, int svg, int *status)
{
    enum { INPUT = 30 };
    char input[32];
    const char *const argv[] = {program, "--no-factorize", "--if", "xml", "-i",
                                input,   "--of",           "svg",  "-",   NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int result;

    snprintf(input, sizeof(input), "/proc/self/fd/%d", INPUT);
    result = posix_spawn_file_actions_init(&actions);
    if (result)
        return result;
    result = posix_spawn_file_actions_adddup2(&actions, svg, 1);
    if (!result)
        result = posix_spawn_file_actions_adddup2(&actions, xml, INPUT);
    if (!result)
        result = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (!result)
        result = posix_spawnp(&pid, program, &actions, NULL, (char *const *)argv,
                              environ);
    posix_spawn_file_actions_destroy(&actions);
    if (result)
        return result;
    while (waitpid(pid, status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return started(*status);
}

static int draw_into(const tr_plan *plan, int svg)
{
    static const char *const programs[] = {"lstopo-no-graphics", "lstopo"};
    int xml = marked_xml(plan), status = 0, result = ENOENT;

    if (xml < 0)
        return tr_fail(TR_EIO, "plan: the topology cannot be written for lstopo");
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]) && result == ENOENT;
         i++)
        result = draw(programs[i], xml, svg, &status);
    close(xml);
    if (result)
        return tr_fail(TR_ENOTSUP,
                       "plan: lstopo cannot be run (Debian: hwloc or hwloc-nox): %s",
                       strerrordesc_np(result));
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return tr_fail(TR_EIO, "plan: lstopo could not draw");
    return 0;
}

int tr_plan_svg(const tr_plan *plan, const char *path)
{
    int svg, result = plan_check(plan);

    if (result)
        return result;
    if (!path)
        return null_fail("plan svg", "path");
    if (!*path)
        return tr_fail(TR_EINVAL, "plan svg: path is empty");
    svg = beyond_standard(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (svg < 0)
        return tr_fail(TR_EIO, "plan: cannot write %s: %s", path, strerrordesc_np(errno));
    result = draw_into(plan, svg);
    close(svg);
    if (result)
        (void)unlink(path);
    return result;
}
