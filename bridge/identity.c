/* SPDX-License-Identifier: MIT */
#include "identity.h"

#include <string.h>
#include <sys/random.h>

bool identity_same(const struct identity *one, const struct identity *other)
{
    return memcmp(one, other, sizeof(*one)) == 0;
}

bool identity_none(const struct identity *one)
{
    static const struct identity none;

    return identity_same(one, &none);
}

static int read_it(tr_board *board, const char *key, struct identity *out)
{
    tr_message *message;
    const tr_tensor *tensor;
    int result = tr_board_get(board, key, &message, NULL);

    if (result < 0)
        return result;
    tensor = tr_message_tensor(message, 0);
    if (tensor && tensor->nbytes == sizeof(*out))
        memcpy(out, tensor->data, sizeof(*out));
    else
        result = TR_ECORRUPT;
    tr_message_release(message);
    return result;
}

static int make_it(tr_board *board, const char *key)
{
    struct identity made;
    tr_message *message;
    int result;

    if (getrandom(&made, sizeof(made), 0) != (ssize_t)sizeof(made))
        return TR_EIO;
    result = tr_message_loan_bytes(tr_board_arena(board), sizeof(made), 1000000000,
                                   &message);
    if (result < 0)
        return result;
    memcpy(tr_message_tensor(message, 0)->data, &made, sizeof(made));
    result = tr_board_put_if(board, key, message, TR_BOARD_NO_VERSION, NULL);
    if (result < 0)
        tr_message_release(message);
    return result == TR_ESTALE
               ? 0
               : result; /* another bridge was faster: its number counts */
}

int identity_get(tr_board *board, const char *key, struct identity *out)
{
    int result = read_it(board, key, out);

    if (result != TR_ENOENT)
        return result;
    result = make_it(board, key);
    return result < 0 ? result : read_it(board, key, out);
}
