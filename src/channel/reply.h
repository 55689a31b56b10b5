/* SPDX-License-Identifier: MIT */
/* reply.h - what the requester is told if its server does not answer. */
#ifndef TR_SRC_REPLY_H
#define TR_SRC_REPLY_H

#include "src/message/message.h"

/* For tr_message_release(): release an unanswered request. Whether it is gone. */
bool request_let_go(struct message *message);

/* A received message is corrupted: if it is a request, tell its requester. Whether it is gone. */
bool request_refuse(struct message *message, int code);

#endif
