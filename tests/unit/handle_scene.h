/* SPDX-License-Identifier: MIT */
/* handle_scene.h - what the tests of handles share. */
#ifndef TR_TESTS_HANDLE_SCENE_H
#define TR_TESTS_HANDLE_SCENE_H

#include "support.h"

#include <pthread.h>
#include <sys/prctl.h>

#include "src/message/message.h"

static tr_queue *open_queue(tr_arena *arena, const char *name)
{
    tr_queue *queue;

    assert_ok(tr_queue_open(arena, name, NULL, &queue));
    return queue;
}

static tr_board *board_with(tr_arena *arena, const char *key, int64_t value)
{
    tr_board *board;

    assert_ok(tr_board_open(arena, "board", NULL, &board));
    assert_ok(tr_board_put(board, key, loan_i64(arena, 1, value), NULL));
    return board;
}

#endif
