/* SPDX-License-Identifier: MIT */
#include "src/message/message_table.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SMALLEST 512 /* messages */

/* local: grows at its head only, so that no lock is needed, which a fork would copy. */
static struct message_table *_Atomic all;

static size_t bytes_of(uint32_t count)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return ((size_t)count * sizeof(struct message) + page - 1) / page * page;
}

static uint32_t room_for(uint32_t count)
{
    uint32_t room = SMALLEST;

    while (room < count)
        room *= 2;
    return room;
}

/* Addresses that read as 0 and take no memory. */
static void *map(void *at, size_t bytes, int protection)
{
    void *memory = mmap(
        at, bytes, protection,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0), -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static struct message_table *make(uint32_t room)
{
    struct message_table *table = calloc(1, sizeof(*table));
    void *messages = map(NULL, bytes_of(room), PROT_READ);
    uint16_t *tags = calloc(room, sizeof(*tags));

    if (!table || !messages || !tags || !handle_fits(messages, bytes_of(room))) {
        if (messages)
            munmap(messages, bytes_of(room));
        free(table);
        free(tags);
        return NULL;
    }
    *table = (struct message_table){.messages = messages, .tags = tags, .room = room};
    atomic_init(&table->taken, 1);
    return table;
}

static void enlist(struct message_table *table)
{
    table->next = atomic_load(&all);
    while (!atomic_compare_exchange_weak(&all, &table->next, table))
        ;
}

static struct message_table *find(uint32_t room)
{
    struct message_table *table = atomic_load(&all);

    for (; table; table = table->next) {
        uint32_t taken = 0;

        if (table->room == room &&
            atomic_compare_exchange_strong(&table->taken, &taken, 1))
            break;
    }
    return table;
}

struct message_table *message_table_take(uint32_t count)
{
    uint32_t room = room_for(count);
    struct message_table *table = find(room);

    if (!table) {
        table = make(room);
        if (table)
            enlist(table);
    }
    if (table && !map(table->messages, bytes_of(count), PROT_READ | PROT_WRITE)) {
        atomic_store(&table->taken, 0);
        table = NULL;
    }
    return table;
}

/* Only handles that were used have anything; an untouched page stays untouched when it is
 * read, so walk, without asking the kernel. */
void message_table_put_back(struct message_table *table, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct message *message = &table->messages[i];

        free(message->more);
        free(message->text);
        /* relaxed: local. */
        if (atomic_load_explicit(&message->now, memory_order_relaxed))
            table->tags[i] = handle_tag(message->now);
    }
    /* A process without room for another mapping keeps the old one, emptied. */
    if (!map(table->messages, bytes_of(count), PROT_READ))
        (void)madvise(table->messages, bytes_of(count), MADV_DONTNEED);
    atomic_store(&table->taken, 0);
}
