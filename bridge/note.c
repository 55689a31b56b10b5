/* SPDX-License-Identifier: MIT */
#include "note.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"

static bool late_has(const struct note_value *value, uint64_t number)
{
    for (int i = 0; i < NOTE_LATE; i++)
        if (value->late[i] == number)
            return true;
    return false;
}

bool note_value_has(const struct note_value *value, uint64_t number)
{
    uint64_t bit = number - value->base;

    if (number < value->base)
        return late_has(value, number);
    return bit < NOTE_BITS && value->bits[bit / 64] >> bit % 64 & 1;
}

/* Forget the lowest 64 numbers, as often as it takes. */
static void slide(struct note_value *value, uint64_t number)
{
    uint64_t words = (number - value->base) / 64 - NOTE_BITS / 64 + 1;

    if (words >= NOTE_BITS / 64) {
        memset(value->bits, 0, sizeof(value->bits));
    } else {
        memmove(value->bits, value->bits + words,
                (NOTE_BITS / 64 - words) * sizeof(uint64_t));
        memset(value->bits + NOTE_BITS / 64 - words, 0, words * sizeof(uint64_t));
    }
    value->base += words * 64;
}

void note_value_add(struct note_value *value, uint64_t number)
{
    uint64_t bit;

    if (number < value->base) {
        if (!late_has(value, number))
            value->late[value->late_count++ % NOTE_LATE] = number;
        return;
    }
    if (number - value->base >= NOTE_BITS)
        slide(value, number);
    bit = number - value->base;
    value->bits[bit / 64] |= UINT64_C(1) << bit % 64;
}

static void make_empty(struct note_value *value, const struct identity *source)
{
    *value = (struct note_value){.source = *source, .intent = NOTE_NONE};
    for (int i = 0; i < NOTE_LATE; i++)
        value->late[i] = NOTE_NONE;
}

static int read_value(tr_board *board, const char *key, struct note_value *value,
                      uint64_t *version, int64_t *put_ns)
{
    tr_header header = TR_HEADER_INIT;
    tr_message *message;
    const tr_tensor *tensor;
    int result = tr_board_get(board, key, &message, version);

    if (result < 0)
        return result;
    tensor = tr_message_tensor(message, 0);
    if (tensor && tensor->nbytes == sizeof(*value))
        memcpy(value, tensor->data, sizeof(*value));
    else
        result = TR_ECORRUPT;
    value->owner[NOTE_OWNER - 1] = 0;
    if (result == 0)
        result = tr_message_header_get(message, &header);
    *put_ns = header.published_ns;
    tr_message_release(message);
    return result;
}

/* A place that another source has. */
struct taken {
    unsigned place;
    char owner[NOTE_OWNER];
    uint64_t version;
    int64_t put_ns;
};

static int by_owner_and_age(const void *one, const void *other)
{
    const struct taken *a = one, *b = other;
    int order = strcmp(a->owner, b->owner);

    return order ? order : (a->put_ns > b->put_ns) - (a->put_ns < b->put_ns);
}

/* The oldest of the owner that has the most; of several such owners, the oldest. */
static const struct taken *choose(struct taken *taken, unsigned count)
{
    const struct taken *chosen = taken;
    unsigned most = 0, first = 0;

    qsort(taken, count, sizeof(*taken), by_owner_and_age);
    for (unsigned i = 1; i <= count; i++) {
        if (i < count && strcmp(taken[i].owner, taken[first].owner) == 0)
            continue;
        if (i - first > most ||
            (i - first == most && taken[first].put_ns < chosen->put_ns)) {
            most = i - first;
            chosen = &taken[first];
        }
        first = i;
    }
    return chosen;
}

static void take_place(struct note *note, unsigned place, uint64_t version)
{
    snprintf(note->key, sizeof(note->key), "note.%u", place);
    note->version = version;
}

/* Look at the places until that of @p source is found, which is 1, or a free one, which is 0.
 * TR_EAGAIN: all @p count are taken. */
static int look(struct note *note, const struct identity *source, struct taken *taken,
                unsigned count)
{
    struct note_value value;

    for (unsigned i = 0; i < count; i++) {
        char key[sizeof(note->key)];
        int result;

        snprintf(key, sizeof(key), "note.%u", i);
        taken[i].place = i;
        result = read_value(note->board, key, &value, &taken[i].version,
                            &taken[i].put_ns);
        if (result == TR_ENOENT) {
            take_place(note, i, TR_BOARD_NO_VERSION);
            return 0;
        }
        if (result == TR_ECORRUPT) { /* it tells nothing, and is the first to go */
            taken[i].put_ns = 0;
            continue;
        }
        if (result < 0)
            return result;
        memcpy(taken[i].owner, value.owner, sizeof(value.owner));
        if (!identity_same(&value.source, source))
            continue;
        take_place(note, i, taken[i].version);
        note->value = value;
        return 1;
    }
    return TR_EAGAIN;
}

/* The place for @p source: its own, else the first that is free, else one that is given up. Half
 * of the board's keys are for notes. 0, or a TR_E code. */
static int find_place(struct note *note, const struct identity *source)
{
    unsigned count = tr_board_capacity(note->board) / 2;
    struct taken *taken = calloc(count, sizeof(*taken));
    int result = taken ? look(note, source, taken, count) : TR_ENOMEM;

    if (result == TR_EAGAIN && count) {
        const struct taken *old = choose(taken, count);

        take_place(note, old->place, old->version);
        result = 0;
    }
    if (result == 0)
        make_empty(&note->value, source);
    if (result >= 0)
        memcpy(note->value.owner, note->owner, sizeof(note->owner));
    free(taken);
    return result < 0 ? result : 0;
}

int note_prepare(struct note *note)
{
    return note->spare ? 0
                       : tr_message_loan_bytes(tr_board_arena(note->board),
                                               sizeof(struct note_value), TR_NOWAIT,
                                               &note->spare);
}

/* Put the value, if nobody else has put another. */
static int put(struct note *note)
{
    int result = note->spare ? 0 : note_prepare(note);

    if (result < 0)
        return result;
    memcpy(tr_message_tensor(note->spare, 0)->data, &note->value, sizeof(note->value));
    result = tr_board_put_if(note->board, note->key, note->spare, note->version,
                             &note->version);
    if (result == 0)
        note->spare = NULL;
    return result;
}

int note_open(struct note *note, tr_board *board, const struct identity *source,
              const char *owner)
{
    int result;

    *note = (struct note){.board = board, .suspect = NOTE_NONE};
    snprintf(note->owner, sizeof(note->owner), "%s", owner);
    result = find_place(note, source);
    if (result < 0)
        return result;
    if (note->value.intent != NOTE_NONE &&
        !note_value_has(&note->value, note->value.intent))
        note->suspect = note->value.intent;
    return 0;
}

/* Another bridge may have written. 0, or a TR_E code. */
static int renew(struct note *note)
{
    struct identity source = note->value.source;
    int64_t put_ns;
    int result = read_value(note->board, note->key, &note->value, &note->version,
                            &put_ns);

    if (result == 0 && !identity_same(&source, &note->value.source))
        result = find_place(note, &source);
    return result;
}

bool note_has(struct note *note, uint64_t number)
{
    if (tr_board_version(note->board, note->key) != note->version)
        (void)renew(note); /* if not, the put fails */
    return note_value_has(&note->value, number);
}

int note_intend(struct note *note, uint64_t number)
{
    int result;

    if (note->value.intent == number)
        return 0;
    do {
        note->value.intent = number;
        result = put(note);
    } while (result == TR_ESTALE && renew(note) == 0);
    return result;
}

int note_add(struct note *note, uint64_t number)
{
    int result;

    if (note->suspect == number)
        note->suspect = NOTE_NONE;
    do {
        note_value_add(&note->value, number);
        note->value.intent = NOTE_NONE;
        result = put(note);
    } while (result == TR_ESTALE && renew(note) == 0);
    return result;
}

void note_close(struct note *note)
{
    tr_message_release(note->spare);
    note->spare = NULL;
}
