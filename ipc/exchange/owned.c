/* SPDX-License-Identifier: MIT */
#include "ipc/exchange/owned.h"

#ifdef TR_ASSERTS

#include <stdio.h>
#include <stdlib.h>

void (*owned_hook)(const char *sentence);

static const char *const states[] = {"free",     "loaned", "queued",  "received",
                                     "orphaned", "shared", "retired", "on its way"};

static void tell(const char *sentence)
{
    if (owned_hook) {
        owned_hook(sentence);
        return;
    }
    fprintf(stderr, "tensoring: %s\n", sentence);
    abort();
}

void owned_once(bool once, uint32_t slot, const char *site)
{
    char sentence[256];

    if (once)
        return;
    snprintf(sentence, sizeof(sentence),
             "%s: slot %u is handed on by another thread, too: no other may be using a "
             "message that is sent, published or put",
             site, slot);
    tell(sentence);
}

void owned_entry(bool ours, const char *what, const char *site)
{
    char sentence[256];

    if (ours)
        return;
    snprintf(sentence, sizeof(sentence), "%s: %s belongs to another participant", site,
             what);
    tell(sentence);
}

static void broken(const struct self *me, const struct slot_record *record, uint64_t word,
                   const char *site)
{
    static _Thread_local char sentence[256];

    snprintf(sentence, sizeof(sentence),
             "%s: slot %ld is %s, by participant %u (incarnation %u): participant %u "
             "(incarnation %u) would write into what is not its own",
             site, (long)(record - view_record(me->view, 0)), states[SLOT_STATE(word)],
             SLOT_WHO(word), SLOT_INC(word), me->who, me->inc & 0xfff);
    tell(sentence);
}

void owned_held(const struct self *me, const struct slot_record *record, const char *site)
{
    /* relaxed: nobody else may change it. */
    uint64_t word = shm_get(&record->owner);

    if (!slot_is(word, SLOT_LOANED, me) && !slot_is(word, SLOT_RECEIVED, me))
        broken(me, record, word, site);
}

void owned_mine(const struct self *me, const struct slot_record *record,
                enum slot_state state, const char *site)
{
    /* relaxed: nobody else may change it. */
    uint64_t word = shm_get(&record->owner);

    if (!slot_is(word, state, me))
        broken(me, record, word, site);
}

#endif
