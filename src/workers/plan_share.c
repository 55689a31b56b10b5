/* SPDX-License-Identifier: MIT */
/* A plan in an arena: the value of one key on a board of its own. */
#include <string.h>

#include <tensoring/board.h>
#include <tensoring/workers.h>

#include "src/base/error.h"
#include "src/base/options.h"
#include "src/workers/plan_internal.h"

static const char board_name[] = "tensoring.plan";
static const char key[] = "plan";

static int open_board(tr_arena *arena, tr_board **board)
{
    tr_board_options options = TR_BOARD_OPTIONS_INIT;

    options.capacity = 1;
    return tr_board_open(arena, board_name, &options, board);
}

int tr_plan_put(tr_arena *arena, const tr_plan *plan)
{
    tr_message *message;
    tr_board *board;
    int result = plan_check(plan);

    if (!result)
        result = open_board(arena, &board);
    if (result)
        return result;
    result = tr_message_loan_bytes(arena, sizeof(*plan), TR_NOWAIT, &message);
    if (!result) {
        memcpy(tr_message_tensor(message, 0)->data, plan, sizeof(*plan));
        result = tr_board_put(board, key, message, NULL);
        if (result)
            (void)tr_message_release(message);
    }
    tr_board_close(board);
    return result;
}

int tr_plan_get(tr_arena *arena, tr_plan *plan)
{
    const tr_tensor *tensor;
    tr_message *message;
    tr_board *board;
    int result = plan ? open_board(arena, &board) : null_fail("plan get", "plan");

    if (result)
        return result;
    result = tr_board_get(board, key, &message, NULL);
    if (!result) {
        tensor = tr_message_tensor(message, 0);
        if (tensor && tensor->nbytes == sizeof(*plan)) {
            memcpy(plan, tensor->data, sizeof(*plan)); /* once; then it is checked */
            result = plan_check(plan);
        } else {
            result = tr_fail(TR_EINVAL, "plan: what %s has is not a plan of this library",
                             board_name);
        }
        (void)tr_message_release(message);
    }
    tr_board_close(board);
    return result;
}
