/* SPDX-License-Identifier: MIT */
/* rows_channels.h - queue.h, broadcast.h, board.h, request.h, waitset.h: see rules_test.c. */
ROW(tr_queue_open, CODE, "arena:arena name:name options:queue_options? out:out",
    tr_queue_open(P(0), P(1), P(2), P(3)))
ROW(tr_queue_close, NOTHING, "queue:queue", (tr_queue_close(P(0)), 0))
ROW(tr_queue_loan, CODE, "queue:queue specs:specs n:one timeout_ns:timeout out:out",
    tr_queue_loan(P(0), P(1), U(2), I(3), P(4)))
ROW(tr_queue_is_closed, ZERO, "queue:queue", tr_queue_is_closed(P(0)))
ROW(tr_queue_send, CODE, "queue:queue message:message timeout_ns:timeout",
    tr_queue_send(P(0), P(1), I(2)))
ROW(tr_queue_receive, CODE, "queue:queue timeout_ns:timeout out:out",
    tr_queue_receive(P(0), I(1), P(2)))
ROW(tr_queue_shutdown, NOTHING, "queue:queue", (tr_queue_shutdown(P(0)), 0))
ROW(tr_queue_depth, ZERO, "queue:queue", (intptr_t)tr_queue_depth(P(0)))
ROW(tr_queue_receivers, ZERO, "queue:queue", tr_queue_receivers(P(0)))
ROW(tr_queue_options_get, CODE, "queue:queue options:queue_options_out",
    tr_queue_options_get(P(0), P(1)))
ROW(tr_queue_capacity, ZERO, "queue:queue", tr_queue_capacity(P(0)))
ROW(tr_queue_name, ZERO, "queue:queue", (intptr_t)tr_queue_name(P(0)))
ROW(tr_queue_note_batch, CODE, "queue:queue rows:one", tr_queue_note_batch(P(0), U(1)))
ROW(tr_queue_arena, ZERO, "queue:queue", (intptr_t)tr_queue_arena(P(0)))

ROW(tr_broadcast_open, CODE, "arena:arena name:name options:broadcast_options? out:out",
    tr_broadcast_open(P(0), P(1), P(2), P(3)))
ROW(tr_broadcast_close, NOTHING, "broadcast:broadcast", (tr_broadcast_close(P(0)), 0))
ROW(tr_broadcast_loan, CODE,
    "broadcast:broadcast specs:specs n:one timeout_ns:timeout out:out",
    tr_broadcast_loan(P(0), P(1), U(2), I(3), P(4)))
ROW(tr_broadcast_is_closed, ZERO, "broadcast:broadcast", tr_broadcast_is_closed(P(0)))
ROW(tr_broadcast_publish, CODE, "broadcast:broadcast message:message timeout_ns:timeout",
    tr_broadcast_publish(P(0), P(1), I(2)))
ROW(tr_broadcast_shutdown, NOTHING, "broadcast:broadcast",
    (tr_broadcast_shutdown(P(0)), 0))
ROW(tr_broadcast_capacity, ZERO, "broadcast:broadcast", tr_broadcast_capacity(P(0)))
ROW(tr_broadcast_subscribers, ZERO, "broadcast:broadcast", tr_broadcast_subscribers(P(0)))
ROW(tr_broadcast_name, ZERO, "broadcast:broadcast", (intptr_t)tr_broadcast_name(P(0)))
ROW(tr_broadcast_arena, ZERO, "broadcast:broadcast", (intptr_t)tr_broadcast_arena(P(0)))
ROW(tr_subscription_open, CODE,
    "broadcast:broadcast options:subscription_options? out:out",
    tr_subscription_open(P(0), P(1), P(2)))
ROW(tr_subscription_close, NOTHING, "subscription:subscription",
    (tr_subscription_close(P(0)), 0))
ROW(tr_subscription_receive, CODE, "subscription:subscription timeout_ns:timeout out:out",
    tr_subscription_receive(P(0), I(1), P(2)))
ROW(tr_subscription_missed, ZERO, "subscription:subscription",
    (intptr_t)tr_subscription_missed(P(0)))

ROW(tr_board_open, CODE, "arena:arena name:name options:board_options? out:out",
    tr_board_open(P(0), P(1), P(2), P(3)))
ROW(tr_board_close, NOTHING, "board:board", (tr_board_close(P(0)), 0))
ROW(tr_board_put, CODE, "board:board key:name message:message version:out?",
    tr_board_put(P(0), P(1), P(2), P(3)))
ROW(tr_board_put_if, CODE,
    "board:board key:name message:message expected:zero version:out?",
    tr_board_put_if(P(0), P(1), P(2), U(3), P(4)))
ROW(tr_board_get, CODE, "board:board key:name out:out version:out?",
    tr_board_get(P(0), P(1), P(2), P(3)))
ROW(tr_board_get_many, CODE, "board:board n:one keys:names out:out versions:out?",
    tr_board_get_many(P(0), P(2), U(1), P(3), P(4)))
ROW(tr_board_wait, CODE,
    "board:board key:name newer_than:zero timeout_ns:timeout out:out version:out?",
    tr_board_wait(P(0), P(1), U(2), I(3), P(4), P(5)))
ROW(tr_board_watch_open, CODE, "board:board key:name newer_than:zero out:out",
    tr_board_watch_open(P(0), P(1), U(2), P(3)))
ROW(tr_board_watch_close, NOTHING, "watch:watch", (tr_board_watch_close(P(0)), 0))
ROW(tr_board_watch_next, CODE, "watch:watch timeout_ns:timeout out:out version:out?",
    tr_board_watch_next(P(0), I(1), P(2), P(3)))
ROW(tr_board_delete, CODE, "board:board key:name expected:zero",
    tr_board_delete(P(0), P(1), U(2)))
ROW(tr_board_version, ZERO, "board:board key:name",
    (intptr_t)tr_board_version(P(0), P(1)))
ROW(tr_board_next, CODE, "board:board cursor:out key:out version:out?",
    tr_board_next(P(0), P(1), P(2), P(3)))
ROW(tr_board_capacity, ZERO, "board:board", tr_board_capacity(P(0)))
ROW(tr_board_name, ZERO, "board:board", (intptr_t)tr_board_name(P(0)))
ROW(tr_board_arena, ZERO, "board:board", (intptr_t)tr_board_arena(P(0)))

ROW(tr_request_call, CODE, "queue:queue message:message timeout_ns:timeout reply:out",
    tr_request_call(P(0), P(1), I(2), P(3)))
ROW(tr_request_send, CODE,
    "queue:queue message:message room_ns:timeout timeout_ns:timeout flags:flags "
    "ticket:out",
    tr_request_send(P(0), P(1), I(2), I(3), (uint32_t)U(4), P(5)))
ROW(tr_request_wait, CODE, "arena:arena ticket:one timeout_ns:timeout reply:out",
    tr_request_wait(P(0), U(1), I(2), P(3)))
ROW(tr_request_next, CODE, "arena:arena timeout_ns:timeout ticket:out reply:out",
    tr_request_next(P(0), I(1), P(2), P(3)))
ROW(tr_request_cancel, CODE, "arena:arena ticket:one", tr_request_cancel(P(0), U(1)))
ROW(tr_message_is_request, ZERO, "message:message", tr_message_is_request(P(0)))
ROW(tr_request_remaining_ns, ZERO, "message:message", tr_request_remaining_ns(P(0)))
ROW(tr_request_reuse, CODE, "request:request specs:specs n:one",
    tr_request_reuse(P(0), P(1), U(2)))
ROW(tr_request_reply, CODE, "request:request reply:message?",
    tr_request_reply(P(0), P(1)))
ROW(tr_request_fail, CODE, "request:request code:one text:path",
    tr_request_fail(P(0), (int32_t)I(1), P(2)))
ROW(tr_error_remote_code, ANY, "", tr_error_remote_code())

ROW(tr_waitset_open, CODE, "arena:arena out:out", tr_waitset_open(P(0), P(1)))
ROW(tr_waitset_close, NOTHING, "set:set", (tr_waitset_close(P(0)), 0))
ROW(tr_waitset_add_queue, CODE, "set:set queue:queue want:want token:one",
    tr_waitset_add_queue(P(0), P(1), (uint32_t)U(2), U(3)))
ROW(tr_waitset_add_loan, CODE, "set:set specs:specs n:one token:one",
    tr_waitset_add_loan(P(0), P(1), U(2), U(3)))
ROW(tr_waitset_add_queue_loan, CODE, "set:set queue:queue specs:specs n:one token:one",
    tr_waitset_add_queue_loan(P(0), P(1), P(2), U(3), U(4)))
ROW(tr_waitset_add_broadcast, CODE, "set:set broadcast:broadcast token:one",
    tr_waitset_add_broadcast(P(0), P(1), U(2)))
ROW(tr_waitset_add_broadcast_loan, CODE,
    "set:set broadcast:broadcast specs:specs n:one token:one",
    tr_waitset_add_broadcast_loan(P(0), P(1), P(2), U(3), U(4)))
ROW(tr_waitset_add_fd, CODE, "set:set fd:zero want:want token:one",
    tr_waitset_add_fd(P(0), (int)I(1), (uint32_t)U(2), U(3)))
ROW(tr_waitset_add_replies, CODE, "set:set token:one", tr_waitset_add_replies(P(0), U(1)))
ROW(tr_waitset_add_subscription, CODE, "set:set subscription:subscription token:one",
    tr_waitset_add_subscription(P(0), P(1), U(2)))
ROW(tr_waitset_add_watch, CODE, "set:set watch:watch token:one",
    tr_waitset_add_watch(P(0), P(1), U(2)))
ROW(tr_waitset_remove, CODE, "set:set token:one", tr_waitset_remove(P(0), U(1)))
ROW(tr_waitset_wait, CODE, "set:set events:out capacity:one timeout_ns:timeout count:out",
    tr_waitset_wait(P(0), P(1), U(2), I(3), P(4)))
ROW(tr_waitset_fd, CODE, "set:set fd:out", tr_waitset_fd(P(0), P(1)))
ROW(tr_waitset_backend, ANY, "set:set", (intptr_t)tr_waitset_backend(P(0)))
