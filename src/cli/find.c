/* SPDX-License-Identifier: MIT */
#include "find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "text.h"

#define FOLDER    "/dev/shm"
#define PREFIX    "tensoring."
#define ANONYMOUS "/memfd:tensoring"

static int complain_folder(void)
{
    fprintf(stderr, "tensoring: %s: %s\n", FOLDER, strerrordesc_np(errno));
    return 1;
}

int file_of(const char *name, struct stat *file)
{
    char path[PLACE];

    if (snprintf(path, sizeof(path), FOLDER "/" PREFIX "%s", name) >= PLACE)
        return -1;
    return lstat(path, file);
}

/* tr_arena_create() refuses such a name. */
static bool is_name(const char *name)
{
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return false;
    return strlen(name) <= TR_MAX_ARENA_NAME &&
           ((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
            (*name >= '0' && *name <= '9') || *name == '_');
}

static void add_owner(struct owners *owners, const struct stat *file)
{
    for (size_t i = 0; i < owners->count; i++)
        if (owners->file[i].st_uid == file->st_uid)
            return;
    if (owners->count < sizeof(owners->file) / sizeof(owners->file[0]))
        owners->file[owners->count++] = *file;
}

int find_owners(struct owners *owners)
{
    DIR *folder = opendir(FOLDER);
    struct dirent *entry;
    struct stat file;

    owners->count = 0;
    if (!folder)
        return complain_folder();
    while ((entry = readdir(folder)))
        if (strncmp(entry->d_name, "tensoring", strlen("tensoring")) == 0 &&
            fstatat(dirfd(folder), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
            (S_ISREG(file.st_mode) || S_ISFIFO(file.st_mode)))
            add_owner(owners, &file);
    closedir(folder);
    return 0;
}

int each_named(const char *prefix, place_visitor *visit, void *context)
{
    DIR *folder = opendir(FOLDER);
    struct dirent *entry;

    if (!folder)
        return complain_folder();
    while ((entry = readdir(folder))) {
        struct place place = {.name = entry->d_name + strlen(PREFIX)};

        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0 ||
            strncmp(place.name, prefix, strlen(prefix)) != 0 || !is_name(place.name))
            continue;
        place.alias = place.name;
        if (fstatat(dirfd(folder), entry->d_name, &place.file, AT_SYMLINK_NOFOLLOW) ==
                0 &&
            S_ISREG(place.file.st_mode))
            visit(&place, context);
    }
    closedir(folder);
    return 0;
}

/* Files that were seen: arenas are few, and each is in many processes. */
struct seen {
    struct {
        dev_t dev;
        ino_t ino;
    } file[256];
    size_t count;
};

static bool is_new(struct seen *seen, const struct stat *file)
{
    size_t room = sizeof(seen->file) / sizeof(seen->file[0]);

    for (size_t i = 0; i < seen->count; i++)
        if (seen->file[i].dev == file->st_dev && seen->file[i].ino == file->st_ino)
            return false;
    if (seen->count < room) {
        seen->file[seen->count].dev = file->st_dev;
        seen->file[seen->count++].ino = file->st_ino;
    }
    return true;
}

struct search {
    struct seen seen;
    bool named; /* arenas with a name, too */
    place_visitor *visit;
    void *context;
};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* A creator shows its named arena as a file that had no name yet. */
struct namesake {
    const struct stat *file;
    char name[PLACE];
};

static void compare_file(const struct place *place, void *context)
{
    struct namesake *same = context;

    if (place->file.st_ino == same->file->st_ino &&
        place->file.st_dev == same->file->st_dev)
        snprintf(same->name, sizeof(same->name), "%s", place->name);
}

static bool is_arena(const char *path)
{
    tr_look *look;

    if (look_at(path, &look))
        return false;
    tr_look_close(look);
    return true;
}

static void found(struct search *search, const char *path, const char *target)
{
    bool named = search->named &&
                 (begins(target, FOLDER "/" PREFIX) || begins(target, FOLDER "/#"));
    struct place place = {.name = path, .alias = target};
    struct namesake same = {.file = &place.file};

    if (!begins(target, ANONYMOUS) && !named)
        return;
    if (stat(path, &place.file) < 0 || !S_ISREG(place.file.st_mode) ||
        !is_new(&search->seen, &place.file) || (named && !is_arena(path)))
        return;
    if (named && each_named("", compare_file, &same) == 0 && *same.name)
        place.alias = same.name;
    search->visit(&place, search->context);
}

/* Links in /proc/PID/fd or /proc/PID/map_files. -errno, or how many there are. */
static int search_links(struct search *search, uint32_t pid, const char *kind)
{
    char path[PLACE], target[512];
    struct dirent *entry;
    int count = 0;
    DIR *folder;

    snprintf(path, sizeof(path), "/proc/%" PRIu32 "/%s", pid, kind);
    folder = opendir(path);
    if (!folder)
        return -errno;
    while ((entry = readdir(folder))) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, target,
                                    sizeof(target) - 1);

        if (length < 0)
            continue;
        target[length] = 0;
        snprintf(path, sizeof(path), "/proc/%" PRIu32 "/%s/%s", pid, kind, entry->d_name);
        found(search, path, target);
        count++;
    }
    closedir(folder);
    return count;
}

/* A process may have closed the descriptor; to follow its mappings takes privileges. */
static int search_process(struct search *search, uint32_t pid)
{
    int count = search_links(search, pid, "fd");

    (void)search_links(search, pid, "map_files");
    return count;
}

void each_anonymous(place_visitor *visit, void *context)
{
    struct search search = {.visit = visit, .context = context};
    DIR *processes = opendir("/proc");
    struct dirent *entry;

    while (processes && (entry = readdir(processes))) {
        uint32_t pid = (uint32_t)strtoul(entry->d_name, NULL, 10);

        if (pid)
            (void)search_process(&search, pid);
    }
    if (processes)
        closedir(processes);
}

int each_of_process(uint32_t pid, place_visitor *visit, void *context)
{
    struct search search = {.named = true, .visit = visit, .context = context};
    int count = search_process(&search, pid);

    if (count >= 0)
        return 0;
    fprintf(stderr, "tensoring: process %" PRIu32 ": %s\n", pid,
            count == -ENOENT ? "there is no such process" : strerrordesc_np(-count));
    return 1;
}

/* What /proc said to be a memfd may be a device by now, which must not even be opened. */
static int open_regular(const char *path)
{
    int path_fd = open(path, O_PATH | O_CLOEXEC), fd = -1;
    char self[32];
    struct stat st;

    if (path_fd < 0)
        return -1;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", path_fd);
    if (fstat(path_fd, &st) == 0 && S_ISREG(st.st_mode))
        fd = open(self, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    else
        errno = ENOTSUP;
    close(path_fd);
    return fd;
}

static char problem[64]; /* of look_at(), where the library has not seen it; "": it has */

static int fail_open(void)
{
    bool other = errno == ENOTSUP;

    snprintf(problem, sizeof(problem), "%s",
             other ? "it is not a regular file, so it is not an arena"
                   : strerrordesc_np(errno));
    return errno == ENOENT ? TR_ENOENT : errno == EACCES || other ? TR_EACCES : TR_EIO;
}

int complain_look(const char *place, int result)
{
    char about[PATH_MAX];

    if (!*problem)
        return complain(place, result);
    fprintf(stderr, "tensoring: %s: %s\n", printable(place, about, sizeof(about)),
            problem);
    return 1;
}

int look_at(const char *place, tr_look **out)
{
    int fd, result;

    *problem = 0;
    if (!strchr(place, '/'))
        return tr_look_open(place, out);
    fd = open_regular(place);
    if (fd < 0)
        return fail_open();
    result = tr_look_open_fd(fd, out);
    close(fd);
    return result;
}

const char *place_condition(const char *place, int *alive)
{
    static tr_participant_stats list[TR_MAX_PARTICIPANTS];
    size_t count = 0;
    tr_look *look;
    int result = look_at(place, &look);

    *alive = -1;
    if (result)
        return result == TR_EABANDONED ? "dead" : tr_error_name(result);
    result = tr_look_participants(look, list, sizeof(tr_participant_stats),
                                  TR_MAX_PARTICIPANTS, &count);
    tr_look_close(look);
    if (result)
        return tr_error_name(result);
    *alive = 0;
    for (size_t i = 0; i < count; i++)
        *alive += list[i].alive != 0;
    return *alive ? "alive" : "dead";
}

bool place_is_dead(const struct place *place)
{
    int alive;

    return strcmp(place_condition(place->name, &alive), "dead") == 0;
}
