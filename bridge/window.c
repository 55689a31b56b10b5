/* SPDX-License-Identifier: MIT */
#include "window.h"

#include <stdlib.h>
#include <string.h>

#include "step.h"
#include "wire_message.h"

static bool make_room(struct window *window)
{
    uint32_t room = window->room ? 2 * window->room : 16;
    struct held **held;

    if (window->count < window->room)
        return true;
    held = realloc(window->held, room * sizeof(struct held *));
    if (!held)
        return false;
    window->held = held;
    window->room = room;
    return true;
}

bool window_add(struct window *window, tr_message *message)
{
    struct held *held = calloc(1, sizeof(*held));

    held = held && make_room(window) ? held : (free(held), NULL);
    if (!held)
        return false;
    held->header = (tr_header)TR_HEADER_INIT;
    if (tr_message_header_get(message, &held->header) < 0) {
        free(held);
        return false;
    }
    held->message = message;
    held->bytes = message_bytes(message);
    window->held[window->count++] = held;
    window->bytes += held->bytes;
    return true;
}

struct held *window_find(const struct window *window, const struct lane *lane,
                         uint64_t number)
{
    for (uint32_t i = 0; i < window->count; i++)
        if (window->held[i]->header.sequence == number && window->held[i]->lane == lane &&
            window->held[i]->state != HELD_DONE)
            return window->held[i];
    return NULL;
}

static void drop(struct window *window, struct held *held)
{
    uint32_t i = 0;

    while (window->held[i] != held)
        i++;
    window->count--;
    memmove(window->held + i, window->held + i + 1,
            (window->count - i) * sizeof(struct held *));
    window->bytes -= held->bytes;
    if (held->state == HELD_DONE)
        window->done--;
    step("confirmed");
    tr_message_release(held->message);
    free(held->fault);
    free(held);
}

bool window_add_blank(struct window *window)
{
    struct held *held = calloc(1, sizeof(*held));

    held = held && make_room(window) ? held : (free(held), NULL);
    if (!held)
        return false;
    held->header = (tr_header)TR_HEADER_INIT;
    window->held[window->count++] = held;
    return true;
}

void window_confirm(struct window *window, struct held *held)
{
    held->state = HELD_DONE;
    window->done++;
    /* acquire: the engine has read the message before it gave it back. */
    if (atomic_load_explicit(&held->lent, memory_order_acquire) == 0)
        drop(window, held);
}

void window_tidy(struct window *window)
{
    for (uint32_t i = window->done ? window->count : 0; i-- > 0;)
        if (window->held[i]->state == HELD_DONE &&
            /* acquire: as in window_confirm(). */
            atomic_load_explicit(&window->held[i]->lent, memory_order_acquire) == 0)
            drop(window, window->held[i]);
}

void window_abandon(struct window *window)
{
    for (uint32_t i = 0; i < window->count; i++) {
        free(window->held[i]->fault);
        free(window->held[i]);
    }
    free(window->held);
    *window = (struct window){0};
}
