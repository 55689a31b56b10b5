/* SPDX-License-Identifier: MIT */
/* storm.h - processes that work while others kill, stop and replace them, and that do to
 * themselves what programs do: fork, execute, close descriptors, cancel threads.
 *
 * The ledger lies apart from the arena: it says of each message whether it was sent, how often it
 * was taken, and which deaths excuse that it was taken twice. */
#ifndef TR_TESTS_STORM_H
#define TR_TESTS_STORM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <tensoring/tensoring.h>

#define STORM_WORKERS   16
#define STORM_NAMERS    4
#define STORM_PROCESSES (STORM_WORKERS + STORM_NAMERS)
#define STORM_MESSAGES  (UINT32_C(1) << 24) /* of one round */
#define STORM_HANDS     (UINT32_C(1) << 20)
#define STORM_SLOTS     64
#define STORM_LARGE     8

/* What they do besides their work; TR_STORM="fork exec" chooses. */
#define WILD_ACTIONS(X)                                                               \
    X(FORK, "fork")           /* with messages in hand; the child uses the library */ \
    X(EXEC, "exec")           /* themselves or another program, likewise */           \
    X(CLOSE, "close")         /* all descriptors from 3 on, and go on */              \
    X(CANCEL, "cancel")       /* threads inside calls */                              \
    X(NAMESPACE, "namespace") /* a child in other pid, user, time namespaces */       \
    X(LIMIT, "limit")         /* a child with little memory */                        \
    X(NAMES, "names")         /* named arenas come and go */                          \
    X(LAZY, "lazy")           /* every second arena is */

enum wild {
#define WILD_NAME(name, text) WILD_##name,
    WILD_ACTIONS(WILD_NAME)
#undef WILD_NAME
        WILD_COUNT
};

struct entry {
    _Atomic uint8_t sent;  /* 1 begun, 2 the call has returned */
    _Atomic uint8_t taken; /* how often */
    uint8_t excused;       /* receivers that ended while they held it */
    uint8_t reserved;
};

/* What became of named arenas. */
struct names_ledger {
    _Atomic uint64_t created, attached, swept, unlinked;
    _Atomic uint64_t split; /* a name that its living user had, and that led elsewhere */
};

struct ledger {
    _Atomic uint32_t next; /* number of the next message */
    _Atomic uint32_t stop;
    _Atomic uint32_t next_hand;
    _Atomic uint64_t torn, failed;
    _Atomic uint64_t heard, looked_up, answered; /* of broadcast, board, requests */
    _Atomic uint64_t told;                       /* by a descriptor */
    _Atomic uint64_t wild[WILD_COUNT];           /* how often */
    struct names_ledger names;
    _Atomic uint32_t
        hand[STORM_HANDS]; /* of each process and thread: what it holds, + 1 */
    struct entry entries[STORM_MESSAGES];
};

struct storm {
    struct ledger *ledger;
    int ledger_fd; /* of the first process, main_pid */
    pid_t main_pid;
    uint32_t wild; /* bit set of enum wild */
    tr_arena *arena;
    tr_queue *front, *back, *service;
    tr_broadcast *broadcast;
    tr_board *board;
    char name[64];
    char cgroup[128]; /* with little memory; "" none */
};

/* ledger.c: a payload proves itself by number and checksum. */
void proof_write(void *data, uint64_t bytes, uint64_t number);
/* The number, or UINT64_MAX if it is torn. */
uint64_t proof_read(const void *data, uint64_t bytes);

struct verdict {
    uint64_t messages, lost, doubled;
};
void ledger_judge(struct ledger *ledger, struct verdict *verdict);

/* A process, or a thread of one. */
struct worker {
    struct storm *storm;
    struct ledger *ledger;
    uint32_t self;
    uint32_t hand; /* of the ledger's */
    bool poor;     /* has little memory */
    bool closed;   /* has closed all descriptors: a set has none, may be */
    uint64_t random;
    tr_subscription *subscription;
    tr_waitset *set; /* to wait by descriptor; NULL: none */
    bool set_lent;   /* it is another's: a thread's, or what a child inherited */
};

/* worker.c: work until the ledger says stop. Never returns. */
_Noreturn void storm_work(struct storm *storm, uint32_t self, uint64_t seed);
int storm_open(struct storm *storm);
void storm_close(struct storm *storm);

/* Something that every program does: send, receive, ask, ... Nothing is held afterwards. */
void worker_act(struct worker *worker);
void worker_acts(struct worker *worker, uint32_t count);
bool worker_stopping(const struct worker *worker);
uint32_t worker_random(struct worker *worker, uint32_t below);

/* Another process or thread goes on like @p worker, with a hand of its own. */
struct worker worker_like(struct worker *worker);

/* What a call may answer in a storm; the process fails with another code. */
void worker_expect(struct worker *worker, const char *what, int code);
_Noreturn void worker_fail(struct worker *worker, const char *what);

/* NULL: there is none. The received one is in the ledger as taken. */
tr_message *worker_loan(struct worker *worker, uint64_t number);
tr_message *worker_receive(struct worker *worker, uint64_t *number);
void worker_release(struct worker *worker, tr_message *message);

/* The message still says @p number. */
void worker_verify(struct worker *worker, const tr_message *message, uint64_t number);

/* wild.c */
void wild_act(struct worker *worker, enum wild what);
/* What `storm exec ...` does: arguments as wild.c gives them. */
int wild_executed(int argc, char **argv);
void wild_set_up(struct storm *storm);
void wild_tear_down(struct storm *storm);

/* names.c */
_Noreturn void names_work(struct storm *storm, uint32_t self, uint64_t seed);
/* Nobody is there any more: NULL, or what is wrong. */
const char *names_judge(struct storm *storm);
/* After a failure: print all that is there. */
void names_remove(const struct storm *storm);

/* recovery.c: from the death of a receiver with @p private_bytes of its own to the message
 * in another's hands, in ns. */
int64_t recovery_time(uint64_t private_bytes);

static inline uint64_t storm_random(uint64_t *state)
{
    /* xorshift64 (Marsaglia 2003). */
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

int64_t storm_now(void);

/* A child ended otherwise than by its own exit(0), or by SIGKILL. */
bool storm_failed(int status);

/* Wait for a child, unless fork() had failed. */
void worker_bury(struct worker *worker, pid_t pid);

#endif
