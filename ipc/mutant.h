/* SPDX-License-Identifier: MIT */
/* mutant.h - the protocol broken on purpose, one way at a time: the test of its tests. In a
 * build without TR_STEPS each is the constant 0. tests/explore must catch every one. */
#ifndef TR_IPC_MUTANT_H
#define TR_IPC_MUTANT_H

#define MUTANTS(X)                                                                  \
    X(NO_SECOND_LOOK, "a sleeper does not look again after it announced itself")    \
    X(CELL_FIRST, "the cell names the slot before the slot is queued")              \
    X(SAME_GENERATION, "a slot that is queued keeps its generation")                \
    X(WAKE_FIRST, "the waker looks for sleepers before its change")                 \
    X(NO_PLACE, "any queued slot that a cell names is taken for its message")       \
    X(COUNT_FIRST, "the reaper counts an orphan before it marks it")                \
    X(CLEAR_QUIETLY, "the announcement is taken away without a second wake")        \
    X(OVERWRITE, "a cell is filled again while its message is there")               \
    X(WAKE_NOBODY, "the kernel wakes nobody")                                       \
    X(WATCH_KEPT, "a spinner that goes to sleep leaves its watch set")              \
    X(WATCH_BLIND, "a spinner does not look for what was left to its watch")        \
    X(REAP_WATCHED, "the reaper leaves the watch of the dead set")                  \
    X(REAP_FORGETS, "an entry is free before its slots are swept")                  \
    X(REAP_BELIEVES, "the reaper wakes only where somebody is announced")           \
    X(REAP_SILENT, "the reaper wakes nobody")                                       \
    X(ORPHANS_FORGOTTEN, "a process that finds no orphan clears a new mark")        \
    X(PIN_BLIND, "a reader does not look at the cell again after its pin")          \
    X(PINS_IGNORED, "a retired slot is freed without a look at the pins")           \
    X(UNSETTLED, "a cell is replaced before the putting of its slot is done")       \
    X(NEVER_NAMED, "the reaper does not look whether a cell names a slot")          \
    X(TAIL_FIRST, "a subscriber looks for the tail only before it registers")       \
    X(ONE_LOCATION, "a slot has one location, which a forward overwrites")          \
    X(OLD_CHANNEL, "a send that found no room keeps the location it was going to")  \
    X(TURN_BY_SIZE, "the turns of cells are compared as if they never wrapped")     \
    X(CLOSE_UNSEALED, "a receiver says closed and empty without a seal")            \
    X(LAP_BY_SIZE, "the laps of cells are compared as if they never wrapped")       \
    X(NEWS_UNSEALED, "a subscriber says closed without a seal")                     \
    X(VERSION_SHORT, "a key has no more versions than its cell has room for")       \
    X(KEY_MIXED, "a key may be finished by a shorter one of the same hash")         \
    X(ROOM_UNSEEN, "a channel's entry is claimed before there is room for it")      \
    X(MAKER_KEPT, "the reaper leaves what the dead one was making as it is")        \
    X(LOANERS_UNTOLD, "a shutdown of a queue does not wake the loans for it")       \
    X(SNATCH, "the reaper takes an unwanted reply from a living sender's hands")    \
    X(ANSWER_BLIND, "a server does not look at the ticket again after its put")     \
    X(DRAIN_FIRST, "a requester that gives up drains before it ends")               \
    X(TICKETS_KEPT, "the reaper leaves the tickets of the dead as they are")        \
    X(STALE_KEPT, "a process in need of memory leaves stale replies")               \
    X(FREE_ANY, "a server frees what its process has queued, by any thread")        \
    X(FLAG_FIRST, "a listener sets the flag of the word before its bit")            \
    X(FLAG_FORCED, "a ringer without listeners clears a newer flag")                \
    X(RING_SWALLOWED, "a listener that is busy counts as rung")                     \
    X(RING_ABSENT, "a listener that is armed counts as rung, asleep or not")        \
    X(RING_ALL, "one message rings all listeners")                                  \
    X(BIT_LAST, "the ringer looks at the doorbell before it takes the bit")         \
    X(UNLISTEN_KEEPS, "an ending listener hands on only if its bit was taken")      \
    X(SELF_SILENT, "threads are not told that members have changed")                \
    X(REAP_DEAF, "the reaper rings no doorbells")                                   \
    X(FORGET_ALL, "the reaper wipes how the entry wants to be rung")                \
    X(LOANS_DEAF, "a freed slot rings nobody that listens")                         \
    X(LEAVER_SILENT, "a listener takes the news of a free slot with it")            \
    X(LOANS_KEPT, "the reaper leaves the dead among the listeners of slots")        \
    X(DEVICE_IGNORED, "the reaper frees what a device still writes into")           \
    X(DRAINED_UNSWEPT, "an entry is free when its device is done, without a sweep") \
    X(MARK_FIRST, "slots are in use before their records have memory")              \
    X(MARK_STORED, "the mark of a class is stored without a look at it")            \
    X(PAGES_UNKNOWN, "a record says what memory it has once that is there")         \
    X(PAGES_FORGOTTEN, "a record says that its memory is gone before it is")        \
    X(COOL_LATE, "a slot is free before its memory is given back")                  \
    X(LOANER_ALONE, "one of the loans that wait for memory is woken")               \
    X(PIN_STORED, "a thread takes a pin without a look at the other threads")       \
    X(NAME_BLIND, "a name is removed without a look at where it leads")             \
    X(NAME_UNLOCKED, "the remover of a name does not lock the file")                \
    X(NAME_FIRST, "a creator gives the name before it has joined")                  \
    X(NAME_SEIZED, "a creator takes the name from the file that has it")            \
    X(NAME_UNSEEN, "an attach does not look at the name again after its join")      \
    X(ADMISSION_OPEN, "a sweep does not close the arena before the name goes")      \
    X(ADMISSION_BLIND, "one that joins does not look whether the arena is closed")  \
    X(CENSUS_FIRST, "joins are counted after the look at which are there")          \
    X(CLOSED_LEFT, "a closed arena is left to the process that closed it")          \
    X(BUCKET_STORED, "a bucket is counted up by a load and a store")

enum mutant {
    MUTANT_NONE,
#define MUTANT_NAME(name, what) MUTANT_##name,
    MUTANTS(MUTANT_NAME)
#undef MUTANT_NAME
        MUTANT_COUNT
};

#ifdef TR_STEPS
extern enum mutant mutant_on; /* MUTANT_NONE unless a test says so */
#define MUTANT(name) (mutant_on == MUTANT_##name)
#else
#define MUTANT(name) 0
#endif

#endif
