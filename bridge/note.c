/* SPDX-License-Identifier: MIT */
#include "note.h"

#include <stdio.h>
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
    if (result == 0)
        result = tr_message_header_get(message, &header);
    *put_ns = header.published_ns;
    tr_message_release(message);
    return result;
}

/* The place for @p source: its own, else the first that is free, else the oldest. Half of the
 * board's keys are for notes. 1: its own. */
static int find_place(struct note *note, const struct identity *source)
{
    struct note_value value;
    int64_t put_ns = 0, oldest_ns = INT64_MAX;
    uint64_t version;
    char key[sizeof(note->key)];

    for (unsigned i = 0; i < tr_board_capacity(note->board) / 2; i++) {
        int result;

        snprintf(key, sizeof(key), "note.%u", i);
        result = read_value(note->board, key, &value, &version, &put_ns);
        if (result < 0 && result != TR_ENOENT)
            return result;
        if (result == 0 && identity_same(&value.source, source)) {
            memcpy(note->key, key, sizeof(key));
            note->version = version;
            note->value = value;
            return 1;
        }
        if (result == TR_ENOENT || put_ns < oldest_ns) {
            memcpy(note->key, key, sizeof(key));
            note->version = result == TR_ENOENT ? TR_BOARD_NO_VERSION : version;
            oldest_ns = put_ns;
        }
        if (result == TR_ENOENT)
            break;
    }
    make_empty(&note->value, source);
    return 0;
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

int note_open(struct note *note, tr_board *board, const struct identity *source)
{
    int result;

    *note = (struct note){.board = board, .suspect = NOTE_NONE};
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
    return result < 0 ? result : 0;
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
