/* SPDX-License-Identifier: MIT */
/* coroutine.c - swapcontext() asks the kernel for the signal mask at each switch: twenty times
 * slower, and the explorer switches a hundred million times. */
#include "tests/explore/coroutine.h"

#include <string.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
/* Frames that were left in the middle have left their red zones behind. */
#define FORGET(stack) __asan_unpoison_memory_region((stack), COROUTINE_STACK)
#else
#define FORGET(stack) ((void)(stack))
#endif

#if defined(__x86_64__)
#define SAVED 7 /* rbx rbp r12-r15, return address */
void coroutine_switch_sp(void **from, void *to);
__asm__(".text\n"
        ".globl coroutine_switch_sp\n"
        ".type coroutine_switch_sp, @function\n"
        "coroutine_switch_sp:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n"
        "  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n"
        "  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size coroutine_switch_sp, .-coroutine_switch_sp\n");

void coroutine_start(struct coroutine *c, void (*body)(void))
{
    uint64_t *top = (uint64_t *)(void *)(c->stack + COROUTINE_STACK) - 3;

    FORGET(c->stack);
    /* As if just called: 16 k + 8 at the entry. */
    top[0] = 0;
    *--top = (uint64_t)(uintptr_t)body;
    top -= SAVED - 1;
    memset(top, 0, 8 * (SAVED - 1));
    c->sp = top;
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
    coroutine_switch_sp(&from->sp, to->sp);
}
#elif defined(__aarch64__)
#define FRAME 160 /* x19-x30, d8-d15 */
void coroutine_switch_sp(void **from, void *to);
__asm__(".text\n"
        ".globl coroutine_switch_sp\n"
        ".type coroutine_switch_sp, %function\n"
        "coroutine_switch_sp:\n"
        "  sub sp, sp, #160\n"
        "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n"
        "  stp x23, x24, [sp, #32]\n  stp x25, x26, [sp, #48]\n"
        "  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
        "  mov x9, sp\n  str x9, [x0]\n  mov sp, x1\n"
        "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n"
        "  ldp x23, x24, [sp, #32]\n  ldp x25, x26, [sp, #48]\n"
        "  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
        "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
        "  add sp, sp, #160\n"
        "  ret\n"
        ".size coroutine_switch_sp, .-coroutine_switch_sp\n");

void coroutine_start(struct coroutine *c, void (*body)(void))
{
    uint8_t *frame = c->stack + COROUTINE_STACK - FRAME;
    uint64_t entry = (uint64_t)(uintptr_t)body;

    FORGET(c->stack);
    memset(frame, 0, FRAME);
    memcpy(frame + 88, &entry, sizeof(entry)); /* x30 */
    c->sp = frame;
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
    coroutine_switch_sp(&from->sp, to->sp);
}
#else
void coroutine_start(struct coroutine *c, void (*body)(void))
{
    FORGET(c->stack);
    getcontext(&c->context);
    c->context.uc_stack.ss_sp = c->stack;
    c->context.uc_stack.ss_size = COROUTINE_STACK;
    c->context.uc_link = NULL;
    makecontext(&c->context, body, 0);
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
    swapcontext(&from->context, &to->context);
}
#endif
