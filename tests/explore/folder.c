/* SPDX-License-Identifier: MIT */
#include "tests/explore/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/liveness/participant.h"
#include "ipc/memory/segment.h"

#define FILE_BYTES   65536
#define DESCRIPTIONS 48
#define FDS          8  /* of a process */
#define MAPS         12 /* of a process */
#define LOCKS        24
#define HEAPS        16 /* private pages of all */
#define FD_BASE      1000
#define PID_MOST     (1 << 22)
#define NAME_PATH    SEGMENT_DIRECTORY "/" SEGMENT_PREFIX FOLDER_NAME

struct file {
    uint64_t bytes;
    struct past past;
    bool there;
};

/* 0 is none. The owner is a description, or a process. */
struct lock {
    uint32_t owner, file, byte;
};
#define OWNER_PROCESS (DESCRIPTIONS + 1)
struct mapping {
    uint8_t description;
    bool page; /* one that nobody reads */
};
struct process {
    uint8_t fds[FDS];
    struct mapping maps[MAPS];
    bool listing; /* it has not seen the name yet */
};

/* All that the kernel knows; without addresses, so that it can be hashed as it is. */
static struct folder {
    uint32_t named; /* file + 1 */
    struct file files[FOLDER_FILES];
    uint8_t file_of[DESCRIPTIONS]; /* + 1 */
    struct lock locks[LOCKS];
    struct process processes[ACTORS];
    uint8_t heap_of[HEAPS]; /* actor + 1 */
    uint64_t end;
} folder;

static uint8_t bytes[FOLDER_FILES][FILE_BYTES] __attribute__((aligned(ARENA_PAGE)));
static uint8_t pages[ACTORS][MAPS][8]; /* addresses of mappings of one page */
static uint8_t heaps[HEAPS][ARENA_PAGE] __attribute__((aligned(ARENA_PAGE)));

/* Pids are others in each run: what a process has in variables of its own stays from the last. */
static uint32_t pid_base;

static struct actor *actor(void)
{
    return engine_elsewhere();
}

static struct process *process(void)
{
    return &folder.processes[actor()->index];
}

void folder_start(void)
{
    memset(&folder, 0, sizeof(folder));
    pid_base = (pid_base + ACTORS) % PID_MOST + ACTORS;
}

/* -- files and descriptions ------------------------------------------------------------- */

static bool referred(uint32_t file)
{
    bool so = folder.named == file + 1;

    for (uint32_t d = 0; d < DESCRIPTIONS; d++)
        so |= folder.file_of[d] == file + 1;
    return so;
}

static void drop_if_gone(uint32_t file)
{
    if (!referred(file))
        folder.files[file] = (struct file){0};
}

/* A description, + 1. */
static uint8_t describe(uint32_t file)
{
    for (uint32_t d = 0; d < DESCRIPTIONS; d++)
        if (!folder.file_of[d]) {
            folder.file_of[d] = (uint8_t)(file + 1);
            return (uint8_t)(d + 1);
        }
    abort();
}

static bool used(uint8_t description)
{
    bool so = false;

    for (uint32_t p = 0; p < ACTORS; p++) {
        for (uint32_t i = 0; i < FDS; i++)
            so |= folder.processes[p].fds[i] == description;
        for (uint32_t i = 0; i < MAPS; i++)
            so |= folder.processes[p].maps[i].description == description;
    }
    return so;
}

/* @p file: 0 stands for all. */
static bool is_of(const struct lock *lock, uint32_t owner, uint32_t file)
{
    return lock->owner == owner && (!file || lock->file == file);
}

static void unlock_all(uint32_t owner, uint32_t file)
{
    for (uint32_t i = 0; i < LOCKS; i++)
        if (is_of(&folder.locks[i], owner, file)) {
            folder.locks[i] = (struct lock){0};
            engine_changed();
        }
}

/* Whether others see that it goes. */
static bool has_locks(uint32_t owner, uint32_t file)
{
    bool so = false;

    for (uint32_t i = 0; i < LOCKS; i++)
        so |= is_of(&folder.locks[i], owner, file);
    return so;
}

static uint32_t owner_of(const struct actor *who)
{
    return OWNER_PROCESS + who->index;
}

/* A descriptor or a mapping of it is gone. */
static void let_go(uint8_t description)
{
    uint32_t file = folder.file_of[description - 1] - 1u;

    if (used(description))
        return;
    unlock_all(description, 0);
    folder.file_of[description - 1] = 0;
    drop_if_gone(file);
}

static int add_fd(uint32_t file)
{
    for (uint32_t i = 0; i < FDS; i++)
        if (!process()->fds[i]) {
            process()->fds[i] = describe(file);
            return FD_BASE + (int)i;
        }
    abort(); /* somebody leaks */
}

bool folder_owns(int fd)
{
    return fd >= FD_BASE && fd < FD_BASE + FDS;
}

static uint8_t description_of(int fd)
{
    uint8_t description = folder_owns(fd) ? process()->fds[fd - FD_BASE] : 0;

    if (!description)
        engine_fail("a descriptor is used that is closed");
    return description;
}

static uint32_t file_of(int fd)
{
    return folder.file_of[description_of(fd) - 1] - 1u;
}

static int new_file(void)
{
    for (uint32_t f = 0; f < FOLDER_FILES; f++)
        if (!folder.files[f].there) {
            folder.files[f] = (struct file){.there = true};
            memset(bytes[f], 0, FILE_BYTES);
            return add_fd(f);
        }
    abort();
}

static bool leads(const char *path)
{
    return folder.named && strcmp(path, NAME_PATH) == 0;
}

int folder_open(const char *path, int flags)
{
    static const char self[] = "/proc/self/fd/";

    if (strncmp(path, self, sizeof(self) - 1) == 0 && folder_proc())
        return add_fd(file_of(atoi(path + sizeof(self) - 1)));
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return new_file();
    return leads(path) ? add_fd(folder.named - 1) : -ENOENT;
}

int folder_close(int fd)
{
    uint8_t description = description_of(fd);
    uint32_t file = folder.file_of[description - 1], owner = owner_of(actor());

    engine_call("close", has_locks(description, 0) || has_locks(owner, file));
    unlock_all(owner, file);
    process()->fds[fd - FD_BASE] = 0;
    let_go(description);
    return 0;
}

static int stat_of(uint32_t file, struct stat *st)
{
    *st = (struct stat){.st_dev = 7,
                        .st_ino = file + 1,
                        .st_mode = S_IFREG | 0600,
                        .st_uid = geteuid(),
                        .st_size = (off_t)folder.files[file].bytes};
    return 0;
}

int folder_stat(int fd, struct stat *st)
{
    return stat_of(file_of(fd), st);
}

int folder_stat_path(const char *path, struct stat *st)
{
    return leads(path) ? stat_of(folder.named - 1, st) : -ENOENT;
}

int folder_resize(int fd, uint64_t size)
{
    if (size > FILE_BYTES)
        abort();
    folder.files[file_of(fd)].bytes = size;
    return 0;
}

/* -- names ------------------------------------------------------------------------------ */

uint32_t folder_named(void)
{
    return folder.named;
}

struct past folder_past(uint32_t file)
{
    return folder.files[file].past;
}

void folder_look(struct actor *me)
{
    me->hand = folder.named ? HAND_PRESENT : HAND_ABSENT;
}

static void tell_all(uint8_t hand)
{
    for (uint32_t i = 0; i < world.actor_count; i++)
        world.actors[i].hand |= hand;
    engine_changed();
}

static const struct control *control_of(uint32_t file)
{
    return (const struct control *)(const void *)bytes[file];
}

static const struct participant *entry_of(uint32_t file, uint32_t i)
{
    return (const struct participant
                *)(const void *)(bytes[file] + control_of(file)->participants_off) +
           i;
}

/* Whether it has joined the arena in the file. */
static bool is_in(uint32_t file, const struct actor *who)
{
    bool so = false;

    for (uint32_t i = 0; i < control_of(file)->participant_count; i++) {
        const struct participant *entry = entry_of(file, i);

        /* relaxed: one thread. */
        so |= PARTICIPANT_STATE(atomic_load_explicit(
                  &entry->word, memory_order_relaxed)) == PARTICIPANT_LIVE &&
              atomic_load_explicit(&entry->pid, memory_order_relaxed) ==
                  (uint32_t)folder_pid(who);
    }
    return so;
}

static bool has_open(const struct process *who, uint32_t file)
{
    bool so = false;

    for (uint32_t i = 0; i < FDS; i++)
        so |= who->fds[i] && folder.file_of[who->fds[i] - 1] == file + 1;
    return so;
}

int folder_link(int fd)
{
    uint32_t file = file_of(fd);

    if (folder.named)
        return -EEXIST;
    folder.named = file + 1;
    tell_all(HAND_PRESENT);
    return 0;
}

/* Nobody removes the name of another arena. */
static void check_removal(uint32_t file)
{
    if (!has_open(process(), file))
        engine_fail("the name of a file was removed that its remover has not looked at");
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (world.actors[i].note == file + 1 && !actor()->giving)
            engine_fail("an arena in use has lost its name");
}

int folder_unlink(const char *path)
{
    uint32_t file = folder.named - 1;

    if (!leads(path))
        return -ENOENT;
    check_removal(file);
    folder.named = 0;
    folder.files[file].past.asked = actor()->giving;
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (!is_in(file, &world.actors[i]))
            folder.files[file].past.late |= (uint8_t)(1u << i);
    drop_if_gone(file);
    tell_all(HAND_ABSENT);
    return 0;
}

bool folder_lists(bool begin)
{
    bool found = !begin && process()->listing && folder.named;

    process()->listing = begin;
    return found;
}

/* -- locks ------------------------------------------------------------------------------ */

/* The lock of that byte of the file, or one that is free. */
static struct lock *find_lock(uint32_t file, uint32_t byte)
{
    struct lock *spare = NULL;

    for (uint32_t i = 0; i < LOCKS; i++) {
        struct lock *lock = &folder.locks[i];

        if (!lock->owner)
            spare = spare ? spare : lock;
        else if (lock->byte == byte && lock->file == file + 1)
            return lock;
    }
    if (!spare)
        abort();
    return spare;
}

int folder_lock(int fd, short type, uint32_t byte, bool record)
{
    uint32_t owner = record ? owner_of(actor()) : description_of(fd);
    struct lock *lock = find_lock(file_of(fd), byte);

    if (lock->owner && lock->owner != owner)
        return type == F_UNLCK ? 0 : -EAGAIN;
    if (type == F_UNLCK) {
        *lock = (struct lock){0};
        engine_changed();
    } else {
        *lock = (struct lock){owner, file_of(fd) + 1, byte};
    }
    return 0;
}

bool folder_locked(int fd, uint32_t byte)
{
    const struct lock *lock = find_lock(file_of(fd), byte);

    return lock->owner && lock->owner != description_of(fd);
}

/* -- memory ----------------------------------------------------------------------------- */

void *folder_map(int fd, bool page)
{
    for (uint32_t i = 0; i < MAPS; i++)
        if (!process()->maps[i].description) {
            process()->maps[i] = (struct mapping){description_of(fd), page};
            return page ? pages[actor()->index][i] : bytes[file_of(fd)];
        }
    abort();
}

static bool within(const void *at, const void *memory, size_t size)
{
    return (uintptr_t)at - (uintptr_t)memory < size;
}

bool folder_maps(const void *at)
{
    return within(at, bytes, sizeof(bytes)) || within(at, pages, sizeof(pages)) ||
           within(at, heaps, sizeof(heaps));
}

void *folder_map_private(void)
{
    for (uint32_t i = 0; i < HEAPS; i++)
        if (!folder.heap_of[i]) {
            folder.heap_of[i] = (uint8_t)(actor()->index + 1);
            memset(heaps[i], 0, ARENA_PAGE);
            return heaps[i];
        }
    abort();
}

static struct mapping *mapping_at(const void *at)
{
    for (uint32_t i = MAPS; i-- > 0;) { /* the last one first */
        struct mapping *map = &process()->maps[i];

        if (map->description &&
            at == (map->page ? pages[actor()->index][i]
                             : bytes[folder.file_of[map->description - 1] - 1]))
            return map;
    }
    engine_fail("memory is given back that is not mapped");
}

int folder_unmap(void *at)
{
    struct mapping *map;
    uint8_t description;

    if (within(at, heaps, sizeof(heaps))) {
        folder.heap_of[((uint8_t *)at - heaps[0]) / ARENA_PAGE] = 0;
        return 0;
    }
    map = mapping_at(at);
    description = map->description;
    engine_call("munmap", has_locks(description, 0));
    *map = (struct mapping){0};
    let_go(description);
    return 0;
}

static uint64_t part(uint32_t file, uint64_t size, uint64_t at)
{
    uint64_t end = folder.files[file].bytes;

    return at >= end ? 0 : size < end - at ? size : end - at;
}

long folder_read(int fd, void *to, uint64_t size, uint64_t at)
{
    uint32_t file = file_of(fd);

    size = part(file, size, at);
    memcpy(to, bytes[file] + at, size);
    return (long)size;
}

long folder_write(int fd, const void *from, uint64_t size, uint64_t at)
{
    uint32_t file = file_of(fd);

    size = part(file, size, at);
    memcpy(bytes[file] + at, from, size);
    return (long)size;
}

/* -- processes -------------------------------------------------------------------------- */

bool folder_proc(void)
{
    return !(world.scenario->no_proc >> actor()->index & 1);
}

int folder_pid(const struct actor *who)
{
    return (int)(pid_base + who->index);
}

bool folder_lives(int pid)
{
    uint32_t i = (uint32_t)pid - pid_base;

    return i < world.actor_count && world.actors[i].status != DEAD;
}

void folder_killed(struct actor *who)
{
    struct process *dead = &folder.processes[who->index];
    struct process last = *dead;

    *dead = (struct process){0};
    unlock_all(owner_of(who), 0);
    for (uint32_t i = 0; i < FDS; i++)
        if (last.fds[i] && folder.file_of[last.fds[i] - 1])
            let_go(last.fds[i]);
    for (uint32_t i = 0; i < MAPS; i++)
        if (last.maps[i].description && folder.file_of[last.maps[i].description - 1])
            let_go(last.maps[i].description);
    for (uint32_t i = 0; i < HEAPS; i++)
        if (folder.heap_of[i] == who->index + 1)
            folder.heap_of[i] = 0;
    who->note = 0;
    engine_changed();
}

/* -- for the engine --------------------------------------------------------------------- */

#define ADMISSION_AT (sizeof(struct control) + offsetof(struct live, admission))

bool folder_matters(const void *word)
{
    uint64_t at = (uint64_t)((const uint8_t *)word - bytes[0]);
    const struct control *control;

    if (!within(word, bytes, sizeof(bytes)))
        return false;
    control = control_of((uint32_t)(at / FILE_BYTES));
    at %= FILE_BYTES;
    return at == ADMISSION_AT ||
           (at >= control->participants_off && at < control->pins_off &&
            (at - control->participants_off) % sizeof(struct participant) <
                (engine_bare ? ARENA_LINE : 8));
}

static uint64_t word_at(const void *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

static uint64_t hash_file(uint64_t hash, uint32_t file)
{
    const struct control *control = control_of(file);

    /* relaxed: one thread. */
    hash = hash_mix(hash, atomic_load_explicit(&control->magic, memory_order_relaxed));
    hash = hash_mix(hash, word_at(bytes[file] + ADMISSION_AT));
    for (uint32_t i = 0; i < control->participant_count; i++) {
        const struct participant *entry = entry_of(file, i);
        /* relaxed: one thread. */
        uint32_t pid = atomic_load_explicit(&entry->pid, memory_order_relaxed);

        hash = hash_mix(hash, word_at(entry));
        hash = hash_mix(hash, pid ? pid - pid_base + 1 : 0);
    }
    return hash;
}

uint64_t folder_hash(uint64_t hash)
{
    const uint8_t *at = (const uint8_t *)&folder;

    for (size_t i = 0; i + 8 <= sizeof(folder); i += 8)
        hash = hash_mix(hash, word_at(at + i));
    for (uint32_t f = 0; f < FOLDER_FILES; f++)
        if (folder.files[f].there)
            hash = hash_file(hash, f);
    return hash;
}
