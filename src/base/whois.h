/* SPDX-License-Identifier: MIT */
/* whois.h - what a participant's process does just now, for reports. */
#ifndef TR_SRC_WHOIS_H
#define TR_SRC_WHOIS_H

#include "ipc/view.h"

/* "running", "sleeping", "stopped", "dead", ... as participant @p me can see it. Some system
 * calls. Static. */
const char *whois_state(const struct view *view, uint32_t me, uint32_t who);

#endif
