/* SPDX-License-Identifier: MIT */
/* store_driver IN OUT [IN OUT]...: load each file into a slot, send it through a queue, and
 * store what was received. */
#include <stdio.h>
#include <stdlib.h>

#include <tensoring/tensoring.h>

static void must(int err, const char *what)
{
    if (err) {
        fprintf(stderr, "%s: %s\n", what, tr_error_detail());
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const tr_slot_class class = {1 << 20, 4};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    tr_arena *arena;
    tr_queue *queue;

    options.classes = &class;
    options.class_count = 1;
    must(tr_arena_create(NULL, &options, &arena), "create");
    must(tr_queue_open(arena, "files", NULL, &queue), "open");
    for (int i = 1; i + 1 < argc; i += 2) {
        tr_message *message;

        must(tr_npy_load(arena, argv[i], TR_NOWAIT, &message), argv[i]);
        must(tr_queue_send(queue, message, TR_NOWAIT), "send");
        must(tr_queue_receive(queue, TR_NOWAIT, &message), "receive");
        must(tr_npy_store(message, 0, argv[i + 1]), argv[i + 1]);
        tr_message_release(message);
    }
    tr_queue_close(queue);
    tr_arena_close(arena);
    return 0;
}
