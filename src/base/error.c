/* SPDX-License-Identifier: MIT */
#define TR_SRC_ERROR_C
#include "src/base/error.h"

#include <stdio.h>
#include <string.h>

#include "src/text/text.h"

/* 0 at the end whatever was written; no allocation, so that a failure cannot fail. */
static _Thread_local char detail[1024];

const char *tr_strerror(int result)
{
    switch (result) {
    case 0:
        return "success";
#define CASE(name, value, text) \
    case TR_E##name:            \
        return text;
        TR_ERRORS(CASE)
#undef CASE
    default:
        return "unknown error";
    }
}

const char *tr_error_name(int result)
{
    switch (result) {
#define CASE(name, value, text) \
    case TR_E##name:            \
        return "TR_E" #name;
        TR_ERRORS(CASE)
#undef CASE
    default:
        return NULL;
    }
}

/* Names in it may come from files and shared memory. */
const char *tr_error_detail(void)
{
    make_printable(detail);
    return detail;
}

static int known(int code)
{
    return tr_error_name(code) ? code : TR_EIO;
}

int tr_fail(int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    return code;
}

/* The kernel's codes, and those of the interface. */
static int translate(int code)
{
    switch (code) {
    case -ENFILE:
        return TR_ENFILE;
    case -ELOOP:
    case -EROFS:
        return TR_EACCES;
    case -EBADMSG: /* another process has written nonsense */
        return TR_ECORRUPT;
    case -EOWNERDEAD: /* our own entry: others took us for dead */
        return TR_EABANDONED;
    case -EFBIG:
    case -EDQUOT:
        return TR_ENOSPC;
    default:
        return known(code);
    }
}

/* What the kernel says, and the way out that is the same for every step. */
static void say_reason(int negative_errno)
{
    const char *text = strerrordesc_np(-negative_errno);

    tr_fail_more(": %s", text ? text : "unknown error");
    if (negative_errno == -EMFILE)
        tr_fail_more("; raise the limit (ulimit -n), or close some");
    else if (negative_errno == -ENFILE)
        tr_fail_more("; raise the machine's limit (fs.file-max)");
}

int tr_fail_errno(int negative_errno, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    say_reason(negative_errno);
    return translate(negative_errno);
}

int tr_fail_wait(int negative_errno, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    if (negative_errno == -EINTR)
        tr_fail_more(", and a signal came");
    else if (negative_errno != -EAGAIN && negative_errno != -ETIMEDOUT)
        say_reason(negative_errno);
    return translate(negative_errno);
}

int tr_fail_descriptor(int negative_errno, const char *step, int fd)
{
    if (negative_errno == -EBADF)
        return tr_fail(TR_EINVAL, "%s: descriptor %d is not open", step, fd);
    return tr_fail_errno(negative_errno, "%s: descriptor %d", step, fd);
}

void tr_fail_more(const char *format, ...)
{
    size_t used = strlen(detail);
    va_list args;

    va_start(args, format);
    vsnprintf(detail + used, sizeof(detail) - used, format, args);
    va_end(args);
}
