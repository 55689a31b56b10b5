/* SPDX-License-Identifier: MIT */
/* Model workers that answer: three servers know 1000 digits, two clients ask them for the
 * nearest neighbours of the others. The answer is written into the slot of the question. The
 * result must equal that of one process.
 *
 *   example_knn_service [DIRECTORY with the .npy files] */
#include <sys/wait.h>
#include <unistd.h>

#include "digits_data.h"

#define KNOWN   1000
#define ASKED   (IMAGES - KNOWN)
#define BATCH   8
#define SERVERS 3
#define CLIENTS 2

static uint8_t classify(const uint8_t *image)
{
    int best = INT32_MAX;
    uint8_t label = 0;

    for (size_t i = 0; i < KNOWN; i++) {
        int distance = 0;
        for (size_t p = 0; p < PIXELS; p++)
            distance += (images[i][p] - image[p]) * (images[i][p] - image[p]);
        if (distance < best) {
            best = distance;
            label = labels[i];
        }
    }
    return label;
}

static int serve(tr_queue *queue)
{
    tr_message *request;
    int err;

    while ((err = tr_queue_receive(queue, TR_FOREVER, &request)) == 0) {
        const tr_tensor *batch = tr_message_tensor(request, 0);
        const int64_t n = batch->shape[0];
        if (batch->ndim != 2 || batch->shape[1] != PIXELS || n > BATCH) {
            check(tr_request_fail(request, 1, "not a batch of images"), "reply error");
            continue;
        }
        uint8_t answer[BATCH];
        for (int64_t i = 0; i < n; i++)
            answer[i] = classify((const uint8_t *)batch->data + i * PIXELS);
        const tr_tensor_spec spec = {
            .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &n};
        check(tr_request_reuse(request, &spec, 1), "reuse");
        check(tr_tensor_fill(tr_message_tensor(request, 0), answer, NULL), "fill");
        check(tr_request_reply(request, NULL), "reply");
    }
    return err == TR_ECLOSED ? 0 : 1;
}

/* A client asks for every CLIENTS-th batch; how many answers differ from our own. */
static int ask(tr_arena *arena, tr_queue *queue, size_t client)
{
    int wrong = 0;

    for (size_t first = client * BATCH; first < ASKED; first += CLIENTS * BATCH) {
        const size_t n = ASKED - first < BATCH ? ASKED - first : BATCH;
        const int64_t shape[] = {(int64_t)n, PIXELS};
        const tr_tensor_spec spec = {
            .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 2, .shape = shape};
        tr_message *message, *reply;
        check(tr_message_loan(arena, &spec, 1, TR_FOREVER, &message), "loan");
        check(tr_tensor_fill(tr_message_tensor(message, 0), images[KNOWN + first], NULL),
              "fill");
        check(tr_request_call(queue, message, INT64_C(30000000000), &reply), "request");
        const uint8_t *answer = tr_message_tensor(reply, 0)->data;
        for (size_t i = 0; i < n; i++)
            wrong += answer[i] != classify(images[KNOWN + first + i]);
        tr_message_release(reply);
    }
    return wrong != 0;
}

int main(int argc, char **argv)
{
    tr_arena *arena;
    tr_queue *queue;
    int bad = 0;

    load_digits(argc, argv);
    check(tr_arena_create(NULL, NULL, &arena), "create");
    check(tr_queue_open(arena, "model", NULL, &queue), "open");
    fflush(NULL);
    pid_t clients[CLIENTS];
    for (size_t i = 0; i < SERVERS; i++)
        if (fork() == 0)
            _exit(serve(queue));
    for (size_t i = 0; i < CLIENTS; i++)
        if ((clients[i] = fork()) == 0)
            _exit(ask(arena, queue, i));
    for (size_t i = 0; i < CLIENTS; i++) {
        int status = 1;
        waitpid(clients[i], &status, 0);
        bad |= status;
    }
    tr_queue_shutdown(queue);
    for (int status; wait(&status) > 0;)
        bad |= status;
    printf("%d images, %d servers, %d clients: %s\n", ASKED, SERVERS, CLIENTS,
           bad ? "WRONG ANSWERS" : "same answers as one process");
    tr_queue_close(queue);
    tr_arena_close(arena);
    return bad ? 1 : 0;
}
