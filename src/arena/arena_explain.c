/* SPDX-License-Identifier: MIT */
#include "src/arena/arena_explain.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tensoring/arena.h>

#include "src/base/error.h"

#define LESS "ask for fewer or smaller slots"
/* Ways to have an arena that memory is too short for. */
#define LATER                                                                           \
    ", or let TR_ARENA_LAZY reserve them when they are used; TR_ARENA_OVERCOMMIT does " \
    "not ask"

static int explain_way(const char *what, const struct shortage *s, const char *way)
{
    static const char *const limits[] = {
        [SHORTAGE_NONE] = "the system",
        [SHORTAGE_FILESYSTEM] = ("the size of " SEGMENT_DIRECTORY),
        [SHORTAGE_MACHINE] = "the machine (MemAvailable and SwapFree)",
        [SHORTAGE_CGROUP] = "the memory cgroup",
        [SHORTAGE_FSIZE] = "RLIMIT_FSIZE",
        [SHORTAGE_AS] = "RLIMIT_AS (the arena is mapped twice)",
        [SHORTAGE_KERNEL] = "the kernel (fallocate)",
    };

    return tr_fail(TR_ENOSPC, "%s: %lu bytes are needed, %s%s%s%s leaves %lu; %s", what,
                   (unsigned long)s->asked, limits[s->limit], s->location[0] ? " (" : "",
                   s->location, s->location[0] ? ")" : "", (unsigned long)s->available,
                   way);
}

int explain_shortage(const char *what, const struct shortage *s)
{
    static const char *const ways[] = {
        [SHORTAGE_NONE] = LESS,
        [SHORTAGE_FILESYSTEM] = LESS
        ", enlarge it (docker run "
        "--shm-size, Kubernetes emptyDir medium Memory), or use an "
        "anonymous arena, which it does not limit",
        [SHORTAGE_MACHINE] = LESS LATER,
        [SHORTAGE_CGROUP] = "raise the container's memory, " LESS LATER,
        [SHORTAGE_FSIZE] = "raise it (ulimit -f)",
        [SHORTAGE_AS] = "raise it (ulimit -v)",
        [SHORTAGE_KERNEL] = LESS,
    };

    return explain_way(what, s, ways[s->limit]);
}

int explain_shortage_of_loan(const char *what, const struct shortage *s)
{
    bool ours = s->limit == SHORTAGE_MACHINE || s->limit == SHORTAGE_CGROUP;

    return ours ? explain_way(what, s,
                              "release messages, raise that limit, or create an arena "
                              "with one of its own below it (TR_ARENA_ELASTIC, "
                              "memory_bytes): loans wait then")
                : explain_shortage(what, s);
}

static int explain_space(const struct segment_spec *spec, const struct shortage *s)
{
    char what[TR_MAX_ARENA_NAME + 32];

    snprintf(what, sizeof(what),
             spec->name ? "create \"%s\"" : "create an anonymous arena", spec->name);
    return explain_shortage(what, s);
}

static int explain_squatted(const char *name, const struct stat *st)
{
    return tr_fail(
        TR_EEXIST,
        "create \"%s\": the name is taken by a file of user %u (mode %04o), and "
        "we are user %u; did another user make it first? That user (sudo "
        "-u '#%u') or root can remove it, by tensoring gc or rm",
        name, st->st_uid, st->st_mode & 07777, (unsigned)geteuid(), st->st_uid);
}

int explain_taken(const char *name)
{
    char path[SEGMENT_PATH];
    struct stat st;

    if (segment_path(name, path) == 0 && lstat(path, &st) == 0 && st.st_uid != geteuid())
        return explain_squatted(name, &st);
    return tr_fail(TR_EEXIST,
                   "create \"%s\": the name is taken by an arena that is in use or was "
                   "closed without a crash; attach to it, or tr_arena_unlink() it",
                   name);
}

int explain_create(int result, const struct segment_spec *spec,
                   const struct segment_report *report)
{
    const char *name = spec->name ? spec->name : "(anonymous)";

    switch (result) {
    case -ENOSPC:
    case -EDQUOT:
        return explain_space(spec, &report->shortage);
    case -EOVERFLOW:
        return tr_fail(
            TR_EOVERFLOW,
            "create \"%s\": the slots together are larger than an address space", name);
    case -EEXIST:
        return explain_taken(name);
    default:
        return tr_fail_errno(result, "create \"%s\"", name);
    }
}

/* Whose it is, and what would give access. */
static int explain_owner(const char *name, const struct segment_report *r)
{
    tr_fail(TR_EACCES,
            "%s: it belongs to user %lu (group %u, mode %04o), and we are user %lu; "
            "did another user make it first? ",
            name, (unsigned long)r->found, r->gid, r->mode, (unsigned long)r->expected);
    if (r->owner_would)
        tr_fail_more("To trust that user, attach with owner = %lu",
                     (unsigned long)r->found);
    else
        tr_fail_more("Its mode does not permit access");
    if (r->group_would)
        tr_fail_more("; to trust all of that group, with TR_ATTACH_GROUP (group=True)");
    return TR_EACCES;
}

/* @p name: the step, and the name quoted or which descriptor it is; @p given: as it was given,
 * or NULL. */
static int explain_refusal(const char *name, const char *given,
                           const struct segment_report *r)
{
    unsigned long found = (unsigned long)r->found, expected = (unsigned long)r->expected;

    switch (r->refusal) {
    case REFUSED_ABSENT:
        return tr_fail(TR_ENOENT,
                       "%s: there is no " SEGMENT_DIRECTORY "/" SEGMENT_PREFIX "%s", name,
                       given);
    case REFUSED_KIND:
        return tr_fail(TR_ECORRUPT, "%s: it is not an arena", name);
    case REFUSED_OWNER:
        return explain_owner(name, r);
    case REFUSED_SHORT:
        return found == 0 ? tr_fail(TR_EAGAIN, "%s: it is empty, still being made?", name)
                          : tr_fail(TR_ECORRUPT, "%s: it has %lu bytes, fewer than %lu",
                                    name, found, expected);
    case REFUSED_UNREADY:
        return tr_fail(TR_EABANDONED,
                       given ? "%s: its creator died before it was ready; "
                               "tr_arena_unlink() removes the name"
                             : "%s: it is not an arena, or its creator died before it "
                               "was ready; close it",
                       name);
    case REFUSED_LAYOUT:
        return tr_fail(TR_ELAYOUT, "%s: layout %lu, this library supports %lu", name,
                       found, expected);
    case REFUSED_FEATURES:
        return tr_fail(TR_ELAYOUT, "%s: features 0x%lx, this library knows 0x%lx", name,
                       found, expected);
    default:
        return tr_fail(TR_ECORRUPT,
                       "%s: its sizes do not fit together (it says %lu bytes, the "
                       "file has %lu)",
                       name, found, expected);
    }
}

int explain_attach(const char *step, int result, const char *given,
                   const struct segment_report *report)
{
    bool named = given[0] != '('; /* no arena's name begins so */
    char name[TR_MAX_ARENA_NAME + 32];

    snprintf(name, sizeof(name), named ? "%s \"%s\"" : "%s %s", step, given);
    if (result == -EACCES && report->refusal == REFUSED_KIND)
        return tr_fail(TR_EACCES, "%s: it is not a regular file, so it is not an arena",
                       name);
    if (report->refusal == REFUSED_KERNEL || report->refusal == REFUSED_NONE)
        return tr_fail_errno(result, "%s", name);
    return explain_refusal(name, named ? given : NULL, report);
}
