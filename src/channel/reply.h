/* SPDX-License-Identifier: MIT */
/* reply.h - what the server of a request owes its requester where it does not answer. */
#ifndef TR_SRC_REPLY_H
#define TR_SRC_REPLY_H

#include "src/message/message.h"

/* For tr_message_release(): an unanswered request is let go. Whether it is gone. */
bool request_let_go(struct message *message);

/* What was received, and is corrupted: if it is a request, its requester is told. Whether it
 * is gone. */
bool request_refuse(struct message *message, int code);

#endif
