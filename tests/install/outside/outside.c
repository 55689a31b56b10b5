/* SPDX-License-Identifier: MIT */
/* What a stranger writes first: one tensor through a queue. */
#include <stdio.h>

#include <tensoring/tensoring.h>

int main(void)
{
    const int64_t shape[] = {2, 3};
    const tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_FLOAT, 32, 1}, .ndim = 2, .shape = shape};
    tr_arena *arena;
    tr_queue *queue;
    tr_message *message;

    if (tr_arena_create(NULL, NULL, &arena) || tr_queue_open(arena, "q", NULL, &queue) ||
        tr_message_loan(arena, &spec, 1, TR_NOWAIT, &message))
        return fprintf(stderr, "%s\n", tr_error_detail()), 1;
    ((float *)tr_message_tensor(message, 0)->data)[5] = 42;
    if (tr_queue_send(queue, message, TR_NOWAIT) ||
        tr_queue_receive(queue, TR_NOWAIT, &message))
        return fprintf(stderr, "%s\n", tr_error_detail()), 1;
    float got = ((float *)tr_message_tensor(message, 0)->data)[5];
    tr_message_release(message);
    tr_queue_close(queue);
    tr_arena_close(arena);
    return got == 42 ? 0 : 1;
}
