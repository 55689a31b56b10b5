/* SPDX-License-Identifier: MIT */
/* store.c - a tensor as a .npy file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include <tensoring/loader.h>
#include <tensoring/npy.h>

#include "ipc/kernel/beyond.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/message/message.h"

/* All of it, whatever the pieces. 0, -errno. */
static int write_all(int fd, struct iovec *parts, int count)
{
    while (count > 0) {
        ssize_t put = writev(fd, parts, count);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        while (count > 0 && (size_t)put >= parts->iov_len) {
            put -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (uint8_t *)parts->iov_base + put;
            parts->iov_len -= (size_t)put;
        }
    }
    return 0;
}

/* A new file beside @p path, under a unique name: other threads, and
 * processes of the same number in other containers, store to the same path. A descriptor, or
 * -errno. */
static int open_temporary(const char *path, char temporary[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0, fd;

    do {
        uint64_t name;

        if (getrandom(&name, sizeof(name), 0) != (ssize_t)sizeof(name))
            return -errno;
        if (snprintf(temporary, PATH_MAX, "%.*s.tensoring-%016" PRIx64 ".tmp", folder,
                     path, name) >= PATH_MAX)
            return -ENAMETOOLONG;
        fd = beyond_standard(
            open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    } while (fd < 0 && errno == EEXIST);
    return fd < 0 ? -errno : fd;
}

static int write_file(const char *path, struct iovec *parts)
{
    char temporary[PATH_MAX];
    int fd = open_temporary(path, temporary), result;

    if (fd < 0)
        return fd;
    result = write_all(fd, parts, parts[1].iov_len ? 2 : 1);
    if (close(fd) < 0 && result == 0)
        result = -errno;
    if (result == 0 && rename(temporary, path) < 0)
        result = -errno;
    if (result < 0)
        unlink(temporary);
    return result;
}

static int encode(const tr_tensor *tensor, void **header, size_t *bytes)
{
    const tr_tensor_spec spec = {.dtype = tensor->dtype,
                                 .ndim = tensor->ndim,
                                 .shape = tensor->shape,
                                 .descr = tensor->descr[0] ? tensor->descr : NULL,
                                 .flags = tensor->flags &
                                          (TR_TENSOR_F_ORDER | TR_TENSOR_BYTESWAPPED)};
    int result = tr_npy_encode(&spec, NULL, 0, bytes);

    if (result < 0)
        return result;
    *header = malloc(*bytes);
    if (!*header)
        return tr_fail(TR_ENOMEM, "no memory for a header of %zu bytes", *bytes);
    return tr_npy_encode(&spec, *header, *bytes, bytes);
}

int tr_npy_store(const tr_message *message, size_t index, const char *path)
{
    const tr_tensor *tensor = tr_message_tensor(message, index);
    struct iovec parts[2];
    void *header = NULL;
    size_t bytes = 0;
    int saved = errno, result;

    if (!message_known(message))
        return message_stale(message, "store");
    if (!path)
        return null_fail("store", "path");
    if (!tensor)
        return tr_fail(TR_EINVAL,
                       "store \"%s\": there is no tensor %zu, the message has %zu", path,
                       index, tr_message_count(message));
    result = encode(tensor, &header, &bytes);
    if (result == 0) {
        parts[0] = (struct iovec){header, bytes};
        parts[1] = (struct iovec){tensor->data, tensor->nbytes};
        result = write_file(path, parts);
        if (result < 0)
            result = tr_fail_errno(result, "store \"%s\"", path);
    }
    free(header);
    errno = saved;
    return result;
}
