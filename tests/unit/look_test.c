/* SPDX-License-Identifier: MIT */
/* A look from outside: no entry, nobody woken, nothing mapped, everything checked. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "own_name.h"
#include "support.h"

#include "ipc/exchange/channel.h"
#include "ipc/memory/segment.h"

/* The number of the arena's descriptor, in this process. */
static int number_of(tr_arena *arena)
{
    tr_arena_info info = TR_ARENA_INFO_INIT;

    assert_ok(tr_arena_info_get(arena, &info));
    return info.fd;
}

/* A descriptor of its own, as another process would open it. */
static int open_again(int fd)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* What a process that is no participant sees; it writes into memory that both have. */
static struct seen {
    int err;
    tr_stats stats;
    tr_arena_info info;
    tr_participant_stats people[8];
    tr_channel_stats channels[8];
    size_t people_count, channel_count;
} * seen;

static void look_in_child(tr_look *look)
{
    seen->stats.struct_size = sizeof(seen->stats);
    seen->info.struct_size = sizeof(seen->info);
    if (tr_look_stats(look, &seen->stats) || tr_look_info(look, &seen->info) ||
        tr_look_participants(look, seen->people, sizeof(tr_participant_stats), 8,
                             &seen->people_count) ||
        tr_look_channels(look, seen->channels, sizeof(tr_channel_stats), 8,
                         &seen->channel_count))
        _exit(1);
    tr_look_close(look);
    _exit(0);
}

/* Look by name, or by the descriptor of an anonymous one. */
static void look(const char *name, tr_arena *arena)
{
    int number = number_of(arena);
    pid_t pid = fork();

    if (pid == 0) {
        tr_look *handle = NULL;

        seen->err = name ? tr_look_open(name, &handle)
                         : tr_look_open_fd(open_again(number), &handle);
        if (seen->err)
            _exit(0);
        look_in_child(handle);
    }
    assert_int_equal(status_of(pid), 0);
}

static int set_up(void **state)
{
    (void)state;
    seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    return seen == MAP_FAILED;
}

static int tear_down(void **state)
{
    (void)state;
    return munmap(seen, sizeof(*seen));
}

static void a_full_arena_can_be_looked_at(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    char name[64];
    tr_arena *arena;
    tr_stats before;
    (void)state;

    snprintf(name, sizeof(name), "unit-look-%d", (int)getpid());
    options.max_participants = 1;
    assert_ok(tr_arena_create(name, &options, &arena));
    before = stats_of(arena);
    look(name, arena);
    assert_int_equal(seen->err, 0);
    assert_int_equal(seen->people_count, 1);
    assert_int_equal(seen->people[0].pid, getpid());
    assert_int_equal(seen->people[0].alive, 1);
    assert_memory_equal(&seen->stats, &before, sizeof(before));
    assert_int_equal(seen->info.max_participants, 1);
    assert_int_equal(seen->info.fd, -1);
    assert_null(seen->info.base);
    before = stats_of(arena);
    assert_int_equal(before.joins, 1); /* a look is none */
    assert_int_equal(before.wakes, 0);
    assert_ok(tr_arena_unlink(name));
    tr_arena_close(arena);
}

/* Everything that the tables say, boards among it, is what a participant is told. */
static void sees_what_participants_see(void **state)
{
    tr_arena *arena = make_arena(16, 4);
    tr_channel_stats channels[8];
    tr_message *held = loan_i64(arena, 1, 1), *value;
    tr_board *board;
    tr_queue *queue;
    tr_stats stats;
    size_t count;
    (void)state;

    assert_ok(tr_queue_open(arena, "q", NULL, &queue));
    assert_ok(tr_board_open(arena, "b", NULL, &board));
    assert_ok(tr_queue_send(queue, loan_i64(arena, 1, 1), TR_NOWAIT));
    assert_ok(tr_board_put(board, "key", loan_i64(arena, 1, 1), NULL));
    assert_ok(tr_board_put(board, "other", loan_i64(arena, 1000, 1), NULL));
    assert_ok(tr_board_get(board, "other", &value, NULL));
    look(NULL, arena);
    assert_int_equal(seen->err, 0);
    stats = stats_of(arena);
    assert_memory_equal(&seen->stats, &stats, sizeof(stats));
    assert_ok(tr_stats_channels(arena, channels, sizeof(tr_channel_stats), 8, &count));
    assert_int_equal(count, 2);
    assert_int_equal(seen->channel_count, 2);
    assert_memory_equal(seen->channels, channels, sizeof(*channels) * 2);
    assert_int_equal(seen->people[0].loaned, 1);
    assert_int_equal(seen->people[0].pinned, 1);
    assert_int_equal(seen->people[0].pinned_bytes, 65536);
    tr_message_release(value);
    tr_message_release(held);
    tr_board_close(board);
    tr_queue_close(queue);
    tr_arena_close(arena);
}

static void the_dead_are_told_from_the_living(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_message *message;
    pid_t pid = fork();
    (void)state;

    if (pid == 0)
        _exit(tr_message_loan_bytes(arena, 8, TR_NOWAIT, &message) != 0);
    assert_int_equal(status_of(pid), 0);
    look(NULL, arena);
    assert_int_equal(seen->people_count, 2);
    assert_int_equal(seen->people[0].alive, 1);
    assert_int_equal(seen->people[1].alive, 0);
    assert_int_equal(seen->people[1].loaned, 1);
    assert_int_equal(stats_of(arena).deaths, 0); /* nothing was done about it */
    tr_arena_close(arena);
}

/* Files that are no arenas, or only say so. */
static void believes_nothing(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_arena_info info = TR_ARENA_INFO_INIT;
    int fd = memfd_create("tensoring", MFD_CLOEXEC), ends[2];
    uint8_t control[4096];
    tr_look *handle;
    (void)state;

    assert_int_equal(tr_look_open_fd(fd, &handle), TR_EAGAIN);
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_int_equal(tr_look_open_fd(fd, &handle), TR_ECORRUPT);
    assert_int_equal(ftruncate(fd, 65536), 0);
    assert_int_equal(tr_look_open_fd(fd, &handle), TR_EABANDONED);
    /* The control block of another arena: it claims more than the file has. */
    assert_ok(tr_arena_info_get(arena, &info));
    memcpy(control, info.base, sizeof(control));
    assert_int_equal(pwrite(fd, control, sizeof(control), 0), sizeof(control));
    assert_int_equal(tr_look_open_fd(fd, &handle), TR_ECORRUPT);
    assert_int_equal(ftruncate(fd, (off_t)info.total_bytes), 0);
    assert_ok(tr_look_open_fd(fd, &handle)); /* its tables are all 0: an empty arena */
    tr_look_close(handle);
    control[8]++; /* the layout */
    assert_int_equal(pwrite(fd, control, sizeof(control), 0), sizeof(control));
    assert_int_equal(tr_look_open_fd(fd, &handle), TR_ELAYOUT);
    close(fd);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(tr_look_open_fd(ends[0], &handle), TR_EACCES);
    close(ends[0]);
    close(ends[1]);
    tr_arena_close(arena);
}

/* The most memory that this process had so far. */
static uint64_t peak_bytes(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (uint64_t)usage.ru_maxrss * 1024;
}

/* A file as long as its rings, of which it says that they are one board; and has no memory. */
static int empty_board(uint64_t ring_bytes)
{
    const struct segment_class class = {64, 1};
    const struct segment_spec spec = {.classes = &class,
                                      .class_count = 1,
                                      .participant_count = 1,
                                      .channel_count = 1,
                                      .pin_count = 1,
                                      .rings_bytes = ring_bytes};
    struct channel channel;
    struct control geo;
    int fd = memfd_create("tensoring", MFD_CLOEXEC);

    memset(&channel, 0, sizeof(channel));
    assert_int_equal(segment_plan(&spec, &geo), 0);
    atomic_init(&geo.magic, ARENA_MAGIC);
    atomic_init(&channel.word, (uint64_t)CHANNEL_READY | CHANNEL_BOARD << 2);
    atomic_init(&channel.ring_off, geo.rings_off);
    atomic_init(&channel.ring_bytes, ring_bytes);
    assert_int_equal(ftruncate(fd, (off_t)geo.total_bytes), 0);
    assert_int_equal(pwrite(fd, &geo, sizeof(geo), 0), sizeof(geo));
    assert_int_equal(pwrite(fd, &channel, sizeof(channel), (off_t)geo.channels_off),
                     sizeof(channel));
    return fd;
}

/* Everybody can make a file of any length that takes no memory, and root looks at all. */
static void holes_take_no_memory(void **state)
{
    const uint64_t bytes = UINT64_C(128) << 20;
    int fd = empty_board(bytes);
    uint64_t before = peak_bytes();
    tr_look *handle;
    (void)state;

    assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
    assert_ok(tr_look_open_fd(fd, &handle));
    assert_true(peak_bytes() - before < bytes / 4);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 7); /* it is the same description */
    tr_look_close(handle);
    close(fd);
}

static void believes_in_no_more_pins_than_there_can_be(void **state)
{
    const struct segment_class class = {64, 1};
    struct segment_spec spec = {.classes = &class,
                                .class_count = 1,
                                .participant_count = 1,
                                .channel_count = 1,
                                .pin_count = MAX_PINS};
    struct control geo;
    (void)state;

    assert_int_equal(segment_plan(&spec, &geo), 0);
    assert_true(segment_valid(&geo, geo.total_bytes));
    spec.pin_count++;
    assert_int_equal(segment_plan(&spec, &geo), 0);
    assert_false(segment_valid(&geo, geo.total_bytes));
}

/* Boards that all name the whole region of rings: it is read and walked no more often than the
 * file has memory. */
static void boards_over_each_other_are_no_boards(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    tr_arena_info info = TR_ARENA_INFO_INIT;
    struct channel *channels;
    tr_board *board[6];
    char name[8];
    uint64_t keys = 0;
    (void)state;

    assert_ok(tr_arena_info_get(arena, &info));
    channels = (void *)((uint8_t *)info.base +
                        ((struct control *)info.base)->channels_off);
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "b%d", i);
        assert_ok(tr_board_open(arena, name, NULL, &board[i]));
    }
    assert_ok(tr_board_put(board[0], "key", loan_i64(arena, 1, 1), NULL));
    look(NULL, arena);
    assert_int_equal(seen->channel_count, 6);
    for (uint32_t i = 0; i < info.max_channels; i++)
        if (channels[i].word) {
            channels[i].ring_off = ((struct control *)info.base)->rings_off;
            channels[i].ring_bytes = ((struct control *)info.base)->rings_bytes;
        }
    look(NULL, arena);
    assert_int_equal(seen->err, 0);
    for (size_t i = 0; i < seen->channel_count; i++)
        keys += seen->channels[i].depth;
    assert_int_equal(keys, 1);
    for (int i = 0; i < 6; i++)
        tr_board_close(board[i]);
    tr_arena_close(arena);
}

static void refuses_nonsense(void **state)
{
    char path[128], name[64], longest[TR_MAX_ARENA_NAME + 2];
    tr_look *handle;
    (void)state;

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    assert_int_equal(tr_look_open("x", NULL), TR_EINVAL);
    assert_int_equal(tr_look_open(NULL, &handle), TR_EINVAL);
    assert_int_equal(tr_look_open("", &handle), TR_EINVAL);
    assert_int_equal(tr_look_open("a/b", &handle), TR_EINVAL);
    assert_int_equal(tr_look_open(longest, &handle), TR_ENAMETOOLONG);
    assert_int_equal(tr_look_open("unit-look-there-is-none", &handle), TR_ENOENT);
    assert_int_equal(tr_look_open_fd(0, NULL), TR_EINVAL);
    assert_int_equal(tr_look_open_fd(-1, &handle), TR_EINVAL); /* as attach_fd */
    /* To open a FIFO of that name would block. */
    snprintf(name, sizeof(name), "unit-look-fifo-%d", (int)getpid());
    snprintf(path, sizeof(path), "/dev/shm/tensoring.%s", name);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(tr_look_open(name, &handle), TR_EACCES);
    unlink(path);
    tr_look_close(NULL);
}

static void takes_no_null(void **state)
{
    tr_stats stats = TR_STATS_INIT;
    tr_arena_info info = {.struct_size = 4};
    tr_arena *arena = make_arena(4, 0);
    tr_participant_stats one;
    tr_look *handle;
    size_t count = 7;
    (void)state;

    assert_ok(tr_look_open_fd(number_of(arena), &handle));
    assert_int_equal(tr_look_stats(NULL, &stats), TR_EINVAL);
    assert_int_equal(tr_look_stats(handle, NULL), TR_EINVAL);
    assert_int_equal(tr_look_info(NULL, &info), TR_EINVAL);
    assert_int_equal(tr_look_info(handle, NULL), TR_EINVAL);
    assert_int_equal(tr_look_info(handle, &info), TR_EINVAL); /* its size */
    assert_int_equal(
        tr_look_participants(NULL, &one, sizeof(tr_participant_stats), 1, &count),
        TR_EINVAL);
    assert_int_equal(
        tr_look_participants(handle, NULL, sizeof(tr_participant_stats), 1, &count),
        TR_EINVAL);
    assert_int_equal(
        tr_look_participants(handle, &one, sizeof(tr_participant_stats), 1, NULL),
        TR_EINVAL);
    assert_int_equal(tr_look_channels(NULL, NULL, sizeof(tr_channel_stats), 0, &count),
                     TR_EINVAL);
    assert_int_equal(tr_look_channels(handle, NULL, sizeof(tr_channel_stats), 1, &count),
                     TR_EINVAL);
    assert_ok(tr_look_channels(handle, NULL, sizeof(tr_channel_stats), 0, &count));
    assert_int_equal(count, 0);
    tr_look_close(handle);
    tr_arena_close(arena);
}

static void leaves_nothing_open(void **state)
{
    tr_arena *arena = make_arena(4, 0);
    int before = descriptors();
    (void)state;

    look(NULL, arena);
    assert_int_equal(descriptors(), before);
    tr_arena_close(arena);
}

/* The owner of the file has a lease: an open for it would wait, for 45 s by default. */
static void waits_for_no_lease(void **state)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;
    tr_look *handle;
    int fd;
    (void)state;

    assert_ok(tr_arena_create(NAME, &options, &arena));
    tr_arena_close(arena);
    fd = open(PATH, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    signal(SIGIO, SIG_IGN);
    if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) { /* not every kernel has them for tmpfs */
        assert_int_equal(tr_look_open(NAME, &handle), TR_EAGAIN);
        assert_int_equal(tr_arena_attach(NAME, NULL, &arena), TR_EAGAIN);
    }
    close(fd);
    signal(SIGIO, SIG_DFL);
    assert_ok(tr_arena_unlink(NAME));
}

/* What no mapping holds, nobody can truncate under us. */
static void maps_nothing_and_populates_nothing(void **state)
{
    static const tr_slot_class class = {1 << 20, 64};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    struct stat before, after;
    tr_arena *arena;
    tr_look *handle;
    char line[512], inode[32];
    FILE *maps;
    int number;
    (void)state;

    options.flags = TR_ARENA_LAZY;
    options.classes = &class;
    options.class_count = 1;
    assert_ok(tr_arena_create(NULL, &options, &arena));
    number = open_again(number_of(arena));
    tr_arena_close(arena);
    assert_int_equal(fstat(number, &before), 0);
    assert_ok(tr_look_open_fd(number, &handle));
    snprintf(inode, sizeof(inode), " %lu ", (unsigned long)before.st_ino);
    maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps))
        assert_null(strstr(line, inode));
    (void)fclose(maps);
    tr_look_close(handle);
    assert_int_equal(fstat(number, &after), 0);
    assert_int_equal(after.st_blocks, before.st_blocks);
    close(number);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_full_arena_can_be_looked_at),
        CASE(sees_what_participants_see),
        CASE(the_dead_are_told_from_the_living),
        CASE(believes_nothing),
        CASE(holes_take_no_memory),
        CASE(believes_in_no_more_pins_than_there_can_be),
        CASE(boards_over_each_other_are_no_boards),
        CASE(refuses_nonsense),
        CASE(takes_no_null),
        CASE(leaves_nothing_open),
        CASE(waits_for_no_lease),
        CASE(maps_nothing_and_populates_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
