/* SPDX-License-Identifier: MIT */
/* reply.c - the server's side. */
#include "src/channel/reply.h"

#include <string.h>
#include <tensoring/request.h>

#include "ipc/exchange/histogram.h"
#include "ipc/exchange/owned.h"
#include "ipc/exchange/request.h"
#include "ipc/kernel/os.h"
#include "ipc/path.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/message/descriptor.h"
#include "src/message/message.h"

#define TICK_NS INT64_C(20000000) /* more than os_lately_ns() is behind */

static struct slot_record *record_of(const struct message *message)
{
    return view_record(&message->arena->view, message->slot);
}

bool tr_message_is_request(const tr_message *given)
{
    const struct message *message = message_known(given);

    return message && message_is_request(message);
}

/* 0: none. */
static int64_t deadline_of(const struct message *message)
{
    struct slot_record *record = record_of(message);

    return shm_get(&record->tensors) & TENSORS_HEAD
               ? (int64_t)shm_get(&record->deadline_ns)
               : 0;
}

/* How much is left, TR_FOREVER, or 0. */
static int64_t remaining(const struct message *message)
{
    int64_t deadline = deadline_of(message), now;

    if (deadline == 0)
        return TR_FOREVER;
    now = os->now_ns();
    return deadline > now ? deadline - now : 0;
}

int64_t tr_request_remaining_ns(const tr_message *given)
{
    const struct message *message = message_known(given);

    return message ? remaining(message) : 0;
}

static RARE int no_request(const tr_message *given, const char *step,
                           struct message **out)
{
    const struct message *message = message_known(given);
    int result = message ? arena_enter(message->arena) : 0;

    if (result == 0)
        result = message_owned(given, step, out);
    if (result == 0 && !message_is_request(*out))
        result = tr_fail(TR_EINVAL, "%s: nobody waits for a reply to this message", step);
    return result;
}

static inline int check_request(const tr_message *given, const char *step,
                                struct message **out)
{
    struct message *message = message_known(given);

    *out = message;
    return LIKELY(message && arena_is_joined(message->arena) &&
                  message_is_ours(message) && message_is_request(message))
               ? 0
               : no_request(given, step, out);
}

/* Whether its deadline has not come. */
static bool in_time(const struct message *request)
{
    int64_t deadline = deadline_of(request);

    return deadline == 0 || deadline - TICK_NS > os_lately_ns() ||
           deadline > os->now_ns();
}

/* How long its server had it. Before it is answered: the requester may look at once. */
static ASIDE void measure(const struct message *request)
{
    histogram_add(&request->histograms[HISTOGRAM_SERVICE],
                  (uint64_t)os->now_ns() - request->received_ns);
}

/* Put @p message into the inbox of the sender of @p request. 0: it is gone, also if nobody wants
 * it any more. */
static int answer(struct message *request, struct message *message)
{
    struct tr_arena *arena = request->arena;
    uint64_t word = shm_get(&record_of(request)->reply_to);
    struct route route;
    bool wanted = in_time(request);

    if (!route_read(&arena->view, word, &route))
        return tr_fail(TR_ECORRUPT, "reply: where the request came from is corrupted");
    ASSERT_HELD(&arena->self, record_of(message));
    if (UNLIKELY(request->histograms != NULL))
        measure(request);
    if (message != request)
        shm_put(&record_of(message)->reply_to, word);
    message_stamp(message, false);
    /* Once it is out, the requester may be a thread of ours, and use the same object. */
    message_end(message, message_handle(message));
    if (wanted)
        wanted = request_answer(&arena->self, &route, message->slot);
    else
        slot_free(&arena->self, message->slot);
    if (!wanted)
        view_count(&arena->view, COUNT_STALE_REPLIES, 1);
    return 0;
}

/* If several threads answer or release one request at once, one of them succeeds. On error the
 * request is as it was. */
static int answer_alone(struct message *request, const tr_message *asked,
                        struct message *reply)
{
    int result;

    if (!message_claim(request, asked))
        return message_stale(asked, "reply");
    result = answer(request, reply);
    if (result < 0)
        message_keep(request);
    return result;
}

int tr_request_reply(tr_message *asked, tr_message *answered)
{
    struct message *request = NULL, *reply = NULL;
    int result = check_request(asked, "reply", &request);

    if (result != 0)
        return result;
    if (!answered || answered == asked)
        return answer_alone(request, asked, request);
    result = message_not_asked(answered, "reply", &reply);
    if (result == 0 && reply->arena != request->arena)
        result = tr_fail(TR_EINVAL,
                         "reply: the message lies in another arena than the request");
    if (result == 0)
        result = answer_alone(request, asked, reply);
    if (result < 0)
        return result;
    slot_free(&request->arena->self, request->slot);
    return 0;
}

/* No other server may get it from here on. */
static void forbid_redelivery(struct message *request)
{
    struct slot_record *record = record_of(request);

    ASSERT_HELD(&request->arena->self, record);
    shm_put(&record->reply_to, shm_get(&record->reply_to) | ROUTE_NO_REDELIVER);
}

/* Other tensors in it; the deadline stays the requester's. */
static int respec(struct message *request, const tr_tensor_spec specs[], size_t n)
{
    int64_t deadline = deadline_of(request);
    int result;

    forbid_redelivery(request);
    result = message_respec(request, specs, n);
    if (deadline)
        message_set_deadline(request, deadline);
    return result;
}

int tr_request_reuse(tr_message *given, const tr_tensor_spec specs[], size_t n)
{
    struct message *request = NULL;
    int result = check_request(given, "reuse", &request);

    if (result == 0 && !specs && n)
        result = null_fail("reuse", "specs");
    return result == 0 ? respec(request, specs, n) : result;
}

/* Bytes for the text of an error, or fewer. None where there is no memory for them: the requester
 * is told anyway. */
static int make_text(struct message *request, int64_t *length)
{
    tr_tensor_spec spec = {.dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = length};
    uint64_t room = message_capacity(request);
    int result;

    if ((uint64_t)*length > room)
        *length = (int64_t)room;
    result = respec(request, &spec, 1);
    if (result == 0)
        return 0;
    *length = 0;
    return respec(request, &spec, 1);
}

static int write_error(struct message *request, int32_t code, const char *text)
{
    struct slot_record *record = record_of(request);
    int64_t length = (int64_t)strnlen(text, TR_MAX_ERROR_TEXT);
    int result = make_text(request, &length);

    if (result < 0)
        return result;
    if (length)
        memcpy(request->tensors[0].data, text, (size_t)length);
    ASSERT_HELD(&request->arena->self, record);
    shm_put(&record->reply_code, (uint32_t)code);
    shm_put(&record->tensors, shm_get(&record->tensors) | TENSORS_ERROR);
    return 0;
}

static int answer_error(struct message *request, int32_t code, const char *text)
{
    int result = write_error(request, code, text);

    return result < 0 ? result : answer(request, request);
}

bool request_refuse(struct message *message, int code)
{
    return message_is_request(message) &&
           answer_error(message, code, "the request arrived corrupted") == 0;
}

int tr_request_fail(tr_message *given, int32_t code, const char *text)
{
    struct message *request = NULL;
    int result = check_request(given, "reply error", &request);

    if (result == 0 && !text)
        result = null_fail("reply error", "text");
    if (result == 0 && code == 0)
        result = tr_fail(TR_EINVAL, "reply error: code is 0, it must be another number");
    if (result == 0 && !message_claim(request, given))
        result = message_stale(given, "reply error");
    if (result != 0)
        return result;
    result = answer_error(request, code, text);
    if (result < 0)
        message_keep(request);
    return result;
}

bool request_let_go(struct message *message)
{
    return answer_error(message, TR_ECANCELED,
                        "the server released the request without an answer") == 0;
}
