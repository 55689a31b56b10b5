/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/storm/storm.h"

/* Take the message, grow, tell, and stand still. */
static _Noreturn void be_the_victim(tr_queue *queue, uint64_t private_bytes, int tell)
{
    tr_message *message;
    char byte = 'r';

    if (tr_queue_receive(queue, TR_FOREVER, &message))
        byte = 'x';
    if (private_bytes) {
        void *memory = mmap(NULL, private_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED)
            byte = 'x';
        else
            memset(memory, 1, private_bytes);
    }
    if (write(tell, &byte, 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

int64_t recovery_time(uint64_t private_bytes)
{
    tr_slot_class class = {256, 4};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    int64_t begun, took = -1;
    tr_message *message;
    tr_arena *arena;
    tr_queue *queue;
    int ends[2];
    char byte = 0;
    pid_t pid;

    options.classes = &class;
    options.class_count = 1;
    if (pipe(ends) || tr_arena_create(NULL, &options, &arena) ||
        tr_queue_open(arena, "queue", NULL, &queue) ||
        tr_message_loan_bytes(arena, 64, TR_NOWAIT, &message) ||
        tr_queue_send(queue, message, TR_NOWAIT))
        return -1;
    pid = fork();
    if (pid == 0)
        be_the_victim(queue, private_bytes, ends[1]);
    if (read(ends[0], &byte, 1) == 1 && byte == 'r') {
        begun = storm_now();
        kill(pid, SIGKILL);
        if (tr_queue_receive(queue, INT64_C(10000000000), &message) == 0) {
            took = storm_now() - begun;
            tr_message_release(message);
        }
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    tr_queue_close(queue);
    tr_arena_close(arena);
    return took;
}
