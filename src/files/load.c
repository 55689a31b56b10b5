/* SPDX-License-Identifier: MIT */
/* load.c - one file: opened, measured, read, judged. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <tensoring/npy.h>

#include "src/base/error.h"
#include "src/files/load.h"
#include "src/message/message.h"

/* Put the name of the file in front of what the thread has to say. */
static int name_it(const struct load *load, int result)
{
    char why[512];
    size_t length = strlen(tr_error_detail());

    length = length < sizeof(why) ? length : sizeof(why) - 1;
    memcpy(why, tr_error_detail(), length);
    why[length] = 0;
    return tr_fail(result, "load \"%s\": %s", load->path, why);
}

/* What O_DIRECT asks of this file; false: it can't be read so. */
static bool direct_alignment(struct load *load)
{
    struct statx meta;

    if (statx(load->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &meta) < 0 ||
        !(meta.stx_mask & STATX_DIOALIGN) || meta.stx_dio_offset_align == 0 ||
        meta.stx_dio_mem_align > 4096 || meta.stx_dio_offset_align > 1 << 20)
        return false;
    load->align = meta.stx_dio_offset_align;
    return true;
}

static void try_direct(struct load *load)
{
    int flags = fcntl(load->fd, F_GETFL);

    load->direct = flags >= 0 && direct_alignment(load) &&
                   fcntl(load->fd, F_SETFL, flags | O_DIRECT) == 0;
    if (!load->direct)
        load->align = 1;
}

int load_open(struct load *load, bool direct)
{
    struct stat st;
    int saved = errno, result = 0;

    load->align = 1;
    /* A FIFO must not block us. */
    load->fd = open(load->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (load->fd < 0 && errno == EWOULDBLOCK) /* not TR_EAGAIN: that means no slot */
        result = tr_fail(
            TR_EBUSY,
            "load \"%s\": a process has a lease on it, and was asked to release it",
            load->path);
    else if (load->fd < 0 || fstat(load->fd, &st) < 0)
        result = tr_fail_errno(-errno, "load \"%s\": open", load->path);
    else if (!S_ISREG(st.st_mode))
        result = tr_fail(TR_EFORMAT, "load \"%s\": it is not a regular file", load->path);
    else if (st.st_size == 0)
        result = tr_fail(TR_EFORMAT, "load \"%s\": it is empty", load->path);
    if (result == 0) {
        load->bytes = (uint64_t)st.st_size;
        load->changed = st.st_mtim;
        if (direct)
            try_direct(load);
    }
    errno = saved;
    return result;
}

static uint64_t rounded(const struct load *load)
{
    return (load->bytes + load->align - 1) / load->align * load->align;
}

int load_loan(struct load *load, struct tr_arena *arena, int64_t timeout_ns)
{
    const int64_t shape = (int64_t)rounded(load);
    const tr_tensor_spec spec = {
        .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = &shape};
    int result = tr_message_loan(handle_of(arena), &spec, 1, timeout_ns, &load->message);

    if (result < 0)
        load->message = NULL;
    return result == 0 || result == TR_EAGAIN ? result : name_it(load, result);
}

void *load_at(const struct load *load)
{
    return (uint8_t *)tr_message_tensor(load->message, 0)->data + load->done;
}

size_t load_left(const struct load *load)
{
    return rounded(load) - load->done;
}

int load_took(struct load *load, int64_t got)
{
    if (got == -EINTR || got == -EAGAIN)
        return 0;
    if (got == -EINVAL && load->direct) {
        /* The file system claims to support it, and does not. */
        int flags = fcntl(load->fd, F_GETFL);

        load->direct = false;
        load->align = 1;
        load->done = 0;
        return flags >= 0 && fcntl(load->fd, F_SETFL, flags & ~O_DIRECT) == 0
                   ? 0
                   : tr_fail(TR_EIO, "load \"%s\": leave O_DIRECT", load->path);
    }
    if (got < 0)
        return tr_fail_errno(got == -ENOMEM ? -ENOMEM : -EIO,
                             "load \"%s\": read: error %d", load->path, (int)-got);
    load->done += (uint64_t)got;
    if (load->done >= load->bytes)
        return 1;
    if (got == 0)
        return tr_fail(TR_EIO,
                       "load \"%s\": it shrank from %lu to %lu bytes while it was read",
                       load->path, (unsigned long)load->bytes, (unsigned long)load->done);
    /* What O_DIRECT left unaligned is read again. */
    load->done = load->done / load->align * load->align;
    return 0;
}

/* A writer may still be writing. */
static int check_unchanged(const struct load *load)
{
    struct stat st;

    if (fstat(load->fd, &st) < 0)
        return tr_fail_errno(-EIO, "load \"%s\": fstat", load->path);
    if ((uint64_t)st.st_size != load->bytes)
        return tr_fail(TR_EIO,
                       "load \"%s\": it went from %lu to %lu bytes while it was read",
                       load->path, (unsigned long)load->bytes, (unsigned long)st.st_size);
    if (st.st_mtim.tv_sec != load->changed.tv_sec ||
        st.st_mtim.tv_nsec != load->changed.tv_nsec)
        return tr_fail(TR_EIO, "load \"%s\": it was written while it was read",
                       load->path);
    return 0;
}

int load_finish(struct load *load, uint32_t header_limit)
{
    uint8_t *file = tr_message_tensor(load->message, 0)->data;
    tr_npy npy;
    tr_tensor_spec spec;
    uint64_t offset;
    int saved = errno, result = check_unchanged(load);

    if (result == 0) {
        result = tr_npy_decode(file, load->bytes, load->bytes, header_limit, &npy);
        result = result < 0 ? name_it(load, result) : 0;
    }
    errno = saved;
    if (result < 0)
        return result;
    offset = npy.data_offset / TR_TENSOR_ALIGN * TR_TENSOR_ALIGN;
    if (offset != npy.data_offset) /* written before NumPy 1.14 */
        memmove(file + offset, file + npy.data_offset, npy.data_bytes);
    spec = (tr_tensor_spec){.dtype = npy.dtype,
                            .ndim = npy.ndim,
                            .shape = npy.shape,
                            .descr = npy.descr[0] ? npy.descr : NULL,
                            .flags = npy.flags};
    result = message_describe(message_known(load->message), &spec, offset);
    return result < 0 ? name_it(load, result) : 0;
}

void load_drop(struct load *load)
{
    int saved = errno;

    if (load->fd >= 0)
        close(load->fd);
    load->fd = -1;
    (void)tr_message_release(load->message);
    load->message = NULL;
    errno = saved;
}
