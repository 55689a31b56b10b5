/* SPDX-License-Identifier: MIT */
/* A board of named tables: one for each digit, with all images of it. A writer replaces them
 * again and again, each time with every value multiplied by the number of the edition, while
 * four workers look them up. Each table carries a checksum; each worker recomputes it over
 * what it sees, so a mixture of two editions would be found. The "total" of the last edition
 * is put last, and read together with the tables as one snapshot.
 *
 *   example_table_board [DIRECTORY with the .npy files] */
#include <sys/wait.h>
#include <unistd.h>

#include "digits_data.h"

#define DIGITS   10
#define WORKERS  4
#define EDITIONS 300

static const char *const names[DIGITS + 1] = {"digit 0", "digit 1", "digit 2", "digit 3",
                                              "digit 4", "digit 5", "digit 6", "digit 7",
                                              "digit 8", "digit 9", "total"};

static uint64_t checksum(const tr_tensor *tensor)
{
    const uint16_t *values = tensor->data;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < tensor->nbytes / 2; i++)
        sum = (sum ^ values[i]) * UINT64_C(1099511628211);
    return sum;
}

static void put(tr_arena *arena, tr_board *board, int digit, uint16_t edition)
{
    int64_t shape[] = {0, PIXELS}, row = 0;
    tr_header header = TR_HEADER_INIT;
    tr_message *message;

    for (size_t i = 0; i < IMAGES; i++)
        shape[0] += digit == DIGITS ? i == 0 : labels[i] == digit;
    const tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_UINT, 16, 1}, .ndim = 2, .shape = shape};
    check(tr_message_loan(arena, &spec, 1, TR_FOREVER, &message), "loan");
    uint16_t *values = tr_message_tensor(message, 0)->data;
    for (size_t i = 0; i < IMAGES; i++) {
        if (digit == DIGITS ? i != 0 : labels[i] != digit)
            continue;
        for (size_t p = 0; p < PIXELS; p++)
            values[row * PIXELS + (int64_t)p] = (uint16_t)(images[i][p] * edition);
        row++;
    }
    const uint64_t sum = checksum(tr_message_tensor(message, 0));
    memcpy(header.user, &sum, sizeof sum);
    memcpy(header.user + 8, &edition, sizeof edition);
    check(tr_message_header_set(message, &header), "set header");
    check(tr_board_put(board, names[digit], message, NULL), "put");
}

/* The edition of a table, or 0 if its checksum is wrong. */
static uint16_t edition_of(const tr_message *message)
{
    tr_header header = TR_HEADER_INIT;
    uint64_t sum;
    uint16_t edition;

    check(tr_message_header_get(message, &header), "header");
    memcpy(&sum, header.user, sizeof sum);
    memcpy(&edition, header.user + 8, sizeof edition);
    return sum == checksum(tr_message_tensor(message, 0)) ? edition : 0;
}

/* Editions are put table by table, the total last: no table is older than the total, and
 * none more than one edition newer. */
static int look_up(tr_board *board)
{
    uint16_t total = 0;

    while (total < EDITIONS) {
        tr_message *tables[DIGITS + 1];
        const int err = tr_board_get_many(board, names, DIGITS + 1, tables, NULL);
        if (err == TR_EAGAIN)
            continue;
        check(err, "get many");
        total = edition_of(tables[DIGITS]);
        for (int digit = 0; digit <= DIGITS; digit++) {
            const uint16_t edition = edition_of(tables[digit]);
            if (edition == 0 || edition < total || edition > total + 1)
                return 1;
            tr_message_release(tables[digit]);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const tr_slot_class classes[] = {{65536, 128}};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_board *board;
    tr_arena *arena;
    int bad = 0;

    load_digits(argc, argv);
    options.classes = classes;
    options.class_count = 1;
    check(tr_arena_create(NULL, &options, &arena), "create");
    check(tr_board_open(arena, "tables", NULL, &board), "open");
    for (int digit = 0; digit <= DIGITS; digit++)
        put(arena, board, digit, 1);
    fflush(NULL);
    for (int i = 0; i < WORKERS; i++)
        if (fork() == 0)
            _exit(look_up(board));
    for (uint16_t edition = 2; edition <= EDITIONS; edition++)
        for (int digit = 0; digit <= DIGITS; digit++)
            put(arena, board, digit, edition);
    for (int status; wait(&status) > 0;)
        bad |= status;
    printf("%d editions of %d tables, %d workers: %s\n", EDITIONS, DIGITS, WORKERS,
           bad ? "A MIXTURE WAS SEEN" : "no mixture was seen");
    tr_board_close(board);
    tr_arena_close(arena);
    return bad ? 1 : 0;
}
