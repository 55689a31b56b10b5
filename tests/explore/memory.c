/* SPDX-License-Identifier: MIT */
#include "tests/explore/memory.h"

#include <stdlib.h>
#include <string.h>

#include "tests/explore/world.h"

#define STORES 4096 /* in a run */
#define LIST   250  /* of one word */
#define PICKS  12
#define TABLE  1024

struct store {
    uint64_t value;
    struct snapshot carries; /* what an acquire load of it learns */
    struct snapshot before;  /* seq_cst stores before it, or before its release, in S */
    struct snapshot readers; /* those before the seq_cst loads of it */
    bool change;             /* a read-modify-write of the one before */
    bool ordered;            /* seq_cst */
    bool releases;           /* carries and before are not empty */
};

struct word {
    const void *at;
    uint64_t key; /* the same in each run */
    uint32_t count;
    bool contents;       /* count is of writes, or of one actor's reads */
    uint16_t list[LIST]; /* modification order */
};

static struct word words[WORDS];
static uint32_t word_count, span; /* word_count, rounded up */
static struct store stores[STORES];
static uint32_t store_count;
static uint16_t table[TABLE]; /* of words by address and reader, + 1 */
static struct snapshot views[ACTORS], orders[ACTORS];
static uint32_t thread_count;

enum flaw memory_flaw;
#define FLAWED(name) __builtin_expect(memory_flaw == FLAW_##name, 0)

static void join(struct snapshot *to, const struct snapshot *from)
{
    for (uint32_t i = 0; i < span; i++)
        to->at[i] = to->at[i] > from->at[i] ? to->at[i] : from->at[i];
}

void memory_start(uint32_t threads)
{
    memset(views, 0, sizeof(views));
    memset(orders, 0, sizeof(orders));
    memset(table, 0, sizeof(table));
    thread_count = threads;
    word_count = store_count = span = 0;
}

static struct store *add_store(void)
{
    struct store *store = &stores[store_count];

    if (store_count == STORES)
        abort();
    store_count++;
    memset(store, 0, sizeof(*store));
    return store;
}

static uint64_t raw(const void *at, uint32_t bytes)
{
    /* relaxed: one thread. */
    return bytes == 8
               ? atomic_load_explicit((const _Atomic uint64_t *)at, memory_order_relaxed)
               : atomic_load_explicit((const _Atomic uint32_t *)at, memory_order_relaxed);
}

static void put_raw(const void *at, uint32_t bytes, uint64_t value)
{
    if (bytes == 8)
        atomic_store_explicit((_Atomic uint64_t *)(uintptr_t)at, value,
                              memory_order_relaxed);
    else
        atomic_store_explicit((_Atomic uint32_t *)(uintptr_t)at, (uint32_t)value,
                              memory_order_relaxed);
}

/* @p part: 0 the word itself, else the reads of its contents by actor part - 1. */
static uint32_t word_of(const void *at, uint32_t part)
{
    uint64_t key = hash_mix((uint64_t)((const uint8_t *)at - world.view.base), part);
    uint32_t h = (uint32_t)key % TABLE;

    for (; table[h]; h = (h + 1) % TABLE)
        if (words[table[h] - 1].key == key)
            return (uint32_t)table[h] - 1;
    if (word_count == WORDS)
        abort();
    table[h] = (uint16_t)(word_count + 1);
    words[word_count].at = at;
    words[word_count].key = key;
    words[word_count].count = 0;
    words[word_count].contents = false;
    span = (word_count + 16) / 16 * 16;
    return word_count++;
}

static uint32_t atomic_word(const struct shm_access *shm)
{
    uint32_t w = word_of(shm->at, 0);

    if (words[w].count == 0) { /* what it is from the start */
        words[w].list[0] = (uint16_t)store_count;
        words[w].count = 1;
        add_store()->value = raw(shm->at, shm->bytes);
    }
    return w;
}

static struct store *store_at(uint32_t w, uint32_t i)
{
    return &stores[words[w].list[i]];
}

static bool acquires(memory_order order)
{
    return order == memory_order_acquire || order == memory_order_acq_rel ||
           order == memory_order_seq_cst || order == memory_order_consume;
}

static bool releases(memory_order order)
{
    return order == memory_order_release || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

static void shift(struct snapshot *snapshot, uint32_t w, uint32_t from)
{
    snapshot->at[w] = (uint8_t)(snapshot->at[w] + (snapshot->at[w] >= from));
}

/* A new store at place @p i of the list. */
static struct store *insert(uint32_t w, uint32_t i)
{
    struct word *word = &words[w];
    uint16_t index = (uint16_t)store_count;

    if (word->count == LIST)
        abort();
    if (i < word->count) {
        for (uint32_t t = 0; t < thread_count; t++) {
            shift(&views[t], w, i);
            shift(&orders[t], w, i);
        }
        for (uint32_t s = 0; s < store_count; s++) {
            shift(&stores[s].carries, w, i);
            shift(&stores[s].before, w, i);
            shift(&stores[s].readers, w, i);
        }
    }
    memmove(&word->list[i + 1], &word->list[i],
            (word->count - i) * sizeof(word->list[0]));
    word->list[i] = index;
    word->count++;
    return add_store();
}

/* What comes before a seq_cst store comes before all that comes after it. */
static bool pass_on(const struct snapshot *before, uint32_t w, uint32_t i,
                    struct snapshot *to)
{
    bool more = false;

    if (to->at[w] < i || FLAWED(S_PASSES))
        return false;
    for (uint32_t k = 0; k < span; k++)
        if (before->at[k] > to->at[k]) {
            to->at[k] = before->at[k];
            more = true;
        }
    return more;
}

static bool pass_on_to_all(uint32_t w, uint32_t i)
{
    const struct snapshot *before = &store_at(w, i)->before;
    bool more = false;

    for (uint32_t t = 0; t < thread_count; t++)
        more |= pass_on(before, w, i, &orders[t]);
    for (uint32_t s = 0; s < store_count; s++) {
        more |= pass_on(before, w, i, &stores[s].before);
        more |= pass_on(before, w, i, &stores[s].readers);
    }
    return more;
}

/* The seq_cst stores of word @p w from place @p i on come after what is in @p before. */
static void order_later(uint32_t w, uint32_t i, const struct snapshot *before)
{
    bool more = false;

    for (; i < words[w].count && !FLAWED(S_LATER); i++)
        if (store_at(w, i)->ordered) {
            join(&store_at(w, i)->before, before);
            more = true;
        }
    while (more) {
        more = false;
        for (uint32_t k = 0; k < word_count; k++)
            for (uint32_t j = 0; !words[k].contents && j < words[k].count; j++)
                if (store_at(k, j)->ordered)
                    more |= pass_on_to_all(k, j);
    }
}

/* One of the possibilities. */
struct option {
    uint32_t read, wrote; /* places; wrote 0: nothing is */
};

/* What comes before an access in S if it chooses this option. */
static struct snapshot before_of(const struct access *access, uint32_t w,
                                 const struct option *option)
{
    struct snapshot before = orders[access->thread];
    bool reads = access->shm->kind != SHM_STORE;

    if (reads && acquires(access->order))
        join(&before, &store_at(w, option->read)->before);
    for (uint32_t i = 0; i < option->wrote; i++) {
        const struct store *store = store_at(w, i);

        if (!FLAWED(S_READERS))
            join(&before, &store->readers);
        if (store->ordered)
            join(&before, &store->before);
    }
    return before;
}

/* Whether it closes no circle in S. */
static bool in_order(const struct access *access, uint32_t w, const struct option *option)
{
    struct snapshot before;

    if (access->order != memory_order_seq_cst ||
        (option->wrote ? FLAWED(S_STORES) : FLAWED(S_LOADS)))
        return true;
    before = before_of(access, w, option);
    return option->wrote ? before.at[w] < option->wrote : before.at[w] <= option->read;
}

/* Whether a store may stand at place @p i: nothing comes between a read-modify-write and what
 * it read. */
static bool gap(uint32_t w, uint32_t i)
{
    return i == words[w].count || !store_at(w, i)->change || FLAWED(GAP);
}

static bool would_swap(const struct access *access, uint32_t w, uint32_t i)
{
    return access->shm->change != SHM_SWAP_IF ||
           store_at(w, i)->value == access->shm->expected;
}

/* Place @p i for what is read; or before which is written. False: it is impossible. */
static bool consider(struct access *access, uint32_t w, uint32_t i, struct option *option)
{
    *option = (struct option){.read = i};
    if (access->shm->kind == SHM_STORE)
        option->wrote = i + 1;
    else if (access->shm->kind == SHM_RMW && would_swap(access, w, i))
        option->wrote = i + 1;
    else /* relaxed: of a compare-and-swap that fails */
        access->order = access->shm->kind == SHM_RMW && !FLAWED(FAILED)
                            ? memory_order_relaxed
                            : access->order;
    return (!option->wrote || gap(w, option->wrote)) && in_order(access, w, option);
}

static uint32_t collect(const struct access *access, uint32_t w, struct option *options)
{
    uint32_t count = 0, oldest = views[access->thread].at[w];
    bool store = access->shm->kind == SHM_STORE;

    if (store ? FLAWED(PAST) : FLAWED(BACK))
        oldest = 0;
    if (store ? FLAWED(AT_END) : FLAWED(NEWEST))
        oldest = words[w].count - 1;
    for (uint32_t i = words[w].count; i-- > oldest && count < PICKS;) {
        struct access tried = *access;

        count += consider(&tried, w, i, &options[count]);
        if (!access->lags && count)
            break;
    }
    return count;
}

static uint64_t changed(const struct shm_access *shm, uint64_t value)
{
    uint64_t full = shm->bytes == 8 ? UINT64_MAX : UINT32_MAX;

    switch (shm->change) {
    case SHM_OR:
        return value | shm->operand;
    case SHM_AND:
        return value & shm->operand & full;
    case SHM_ADD:
        return (value + shm->operand) & full;
    case SHM_SET:
    case SHM_SWAP_IF:
    default:
        return shm->operand;
    }
}

/* The store of @p access behind place @p option->read. */
static void write_it(const struct access *access, uint32_t w, const struct option *option)
{
    const struct shm_access *shm = access->shm;
    uint32_t t = access->thread, i = option->wrote;
    bool change = shm->kind == SHM_RMW;
    struct store *store = insert(w, i);
    const struct store *from = store_at(w, i - 1);

    store->change = change;
    store->ordered = access->order == memory_order_seq_cst;
    store->value = changed(shm, from->value);
    views[t].at[w] = (uint8_t)i;
    if (store->ordered)
        orders[t].at[w] = (uint8_t)i;
    if ((change || FLAWED(CHAIN_ON)) && from->releases &&
        !FLAWED(CHAIN)) { /* goes on with the release sequence */
        store->carries = from->carries;
        store->before = from->before;
        store->releases = true;
    }
    if ((releases(access->order) && !FLAWED(RELEASE)) || FLAWED(RELAXED)) {
        join(&store->carries, &views[t]);
        if (!FLAWED(S_HAPPENS) || store->ordered)
            join(&store->before, &orders[t]);
        store->releases = true;
    }
    if (i + 1 == words[w].count)
        put_raw(shm->at, shm->bytes, store->value);
}

static void do_it(const struct access *access, uint32_t w, const struct option *option)
{
    uint32_t t = access->thread;
    struct store *from = store_at(w, option->read);
    bool ordered = access->order == memory_order_seq_cst;

    if (ordered)
        orders[t] = before_of(access, w, option);
    if (access->shm->kind != SHM_STORE) {
        if (views[t].at[w] < option->read && !FLAWED(UNREAD))
            views[t].at[w] = (uint8_t)option->read;
        if (acquires(access->order) && from->releases && !FLAWED(ACQUIRE)) {
            join(&views[t], &from->carries);
            join(&orders[t], &from->before);
        }
        if (ordered)
            join(&from->readers, &orders[t]);
    }
    if (option->wrote)
        write_it(access, w, option);
    if (ordered && (option->wrote ? option->wrote : option->read) + 1 < words[w].count)
        order_later(w, (option->wrote ? option->wrote : option->read) + 1, &orders[t]);
}

void memory_access(const struct access *access, memory_pick *pick, struct answer *answer)
{
    struct option options[PICKS], *option;
    struct access mine = *access;
    uint32_t w = atomic_word(access->shm), count = collect(access, w, options), newest;

    if (count == 0)
        abort(); /* the newest is always possible */
    option = &options[count > 1 ? pick(count) : 0];
    newest = words[w].count - 1;
    consider(&mine, w, option->read, option);
    answer->value = store_at(w, option->read)->value;
    answer->swapped = option->wrote != 0;
    answer->lagged = option != &options[0];
    answer->read = option->read;
    answer->wrote = option->wrote;
    answer->count = newest + 1;
    do_it(&mine, w, option);
}

const char *memory_touch(uint32_t thread, const void *at, bool write)
{
    uint32_t w = word_of(at, 0), mine = word_of(at, thread + 1);

    words[w].contents = words[mine].contents = true;
    if (views[thread].at[w] != words[w].count && !FLAWED(LOOKS))
        return write ? "a race: two write the contents"
                     : "a race: contents are read while "
                       "they are written";
    if (!write) {
        views[thread].at[mine] = (uint8_t)++words[mine].count;
        return words[mine].count >= LIST ? "too many looks at contents" : NULL;
    }
    for (uint32_t t = 0; t < thread_count; t++) {
        uint32_t reads = word_of(at, t + 1);

        words[reads].contents = true;
        if (views[thread].at[reads] != words[reads].count && !FLAWED(FILLS))
            return "a race: contents are written while they are read";
    }
    views[thread].at[w] = (uint8_t)++words[w].count;
    return words[w].count >= LIST ? "too many accesses to contents" : NULL;
}

void memory_join(uint32_t to, uint32_t from)
{
    if (FLAWED(DEATH))
        return;
    join(&views[to], &views[from]);
    join(&orders[to], &orders[from]);
}

/* It only matters whether the newest contents are known. */
static uint64_t hash_snapshot(const struct snapshot *snapshot,
                              const struct snapshot *oldest)
{
    uint64_t hash = 0;

    for (uint32_t w = 0; w < word_count; w++) {
        uint32_t known = words[w].contents ? snapshot->at[w] == words[w].count
                         : snapshot->at[w] > oldest->at[w]
                             ? (uint32_t)snapshot->at[w] - oldest->at[w]
                             : 0;

        if (known)
            hash += hash_mix(words[w].key, known);
    }
    return hash;
}

static uint64_t hash_word(uint32_t w, const struct snapshot *oldest)
{
    uint64_t hash = words[w].key;
    struct snapshot past;

    memset(&past, 0, sizeof(past));
    for (uint32_t i = 0; i < oldest->at[w]; i++) {
        join(&past, &store_at(w, i)->readers);
        if (store_at(w, i)->ordered)
            join(&past, &store_at(w, i)->before);
    }
    hash = hash_mix(hash, hash_snapshot(&past, oldest));
    for (uint32_t i = oldest->at[w]; i < words[w].count; i++) {
        const struct store *store = store_at(w, i);

        hash = hash_mix(hash, store->value);
        hash = hash_mix(hash, (uint64_t)(store->change ? 1 : 0) |
                                  (uint64_t)(store->ordered ? 2 : 0));
        hash = hash_mix(hash, hash_snapshot(&store->carries, oldest));
        hash = hash_mix(hash, hash_snapshot(&store->before, oldest));
        hash = hash_mix(hash, hash_snapshot(&store->readers, oldest));
    }
    return hash;
}

uint64_t memory_hash(uint64_t hash, uint32_t living)
{
    struct snapshot oldest;
    uint64_t sum = 0;

    memset(&oldest, living ? UINT8_MAX : 0, sizeof(oldest));
    for (uint32_t t = 0; t < thread_count; t++)
        for (uint32_t w = 0; w < word_count && (living >> t & 1); w++)
            if (views[t].at[w] < oldest.at[w])
                oldest.at[w] = views[t].at[w];
    for (uint32_t w = 0; w < word_count; w++)
        if (!words[w].contents)
            sum += hash_word(w, &oldest);
    hash = hash_mix(hash, sum);
    for (uint32_t t = 0; t < thread_count; t++) {
        hash = hash_mix(hash, hash_snapshot(&views[t], &oldest));
        hash = hash_mix(hash, hash_snapshot(&orders[t], &oldest));
    }
    return hash;
}
