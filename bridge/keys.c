/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "say.h"

static int complain(const char *path, const char *why)
{
    say("%s: %s", path, why);
    return -1;
}

static int check_mode(int fd, const char *path)
{
    struct stat found;

    if (fstat(fd, &found) < 0)
        return complain(path, strerrordesc_np(errno));
    if (found.st_mode & (S_IRWXG | S_IRWXO) && !(found.st_mode & S_IRWXO) &&
        (found.st_mode & S_IRWXG) == S_IRGRP && found.st_uid == 0)
        return 0; /* as Kubernetes mounts a Secret for fsGroup */
    if (found.st_mode & (S_IRWXG | S_IRWXO))
        return complain(path, "others may read this secret key: chmod 600 it");
    return 0;
}

static int check_key(const char *path, char *text, ssize_t length)
{
    uint8_t bytes[32];

    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    text[length > 0 ? length : 0] = 0;
    if (length != KEY_TEXT - 1 || !zmq_z85_decode(bytes, text))
        return complain(path, "this is not a key: one line of 40 characters, as "
                              "tensoring bridge keygen writes it");
    return 0;
}

int key_read(const char *path, enum key_kind kind, char key[KEY_TEXT])
{
    char text[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC), result = 0;
    ssize_t length;

    if (fd < 0)
        return complain(path, strerrordesc_np(errno));
    if (kind == KEY_SECRET)
        result = check_mode(fd, path);
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (result == 0 && length < 0)
        result = complain(path, strerrordesc_np(errno));
    if (result == 0)
        result = check_key(path, text, length);
    if (result == 0)
        memcpy(key, text, KEY_TEXT);
    explicit_bzero(text, sizeof(text));
    return result;
}

int key_public(const char *secret, char key[KEY_TEXT])
{
    return zmq_curve_public(key, secret);
}

static int write_key(const char *path, mode_t mode, const char *key)
{
    char line[KEY_TEXT + 1];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    int length = snprintf(line, sizeof(line), "%s\n", key), result = 0;

    if (fd < 0)
        return complain(path, strerrordesc_np(errno));
    if (fchmod(fd, mode) < 0 || write(fd, line, (size_t)length) != length ||
        fsync(fd) < 0)
        result = complain(path, strerrordesc_np(errno));
    close(fd);
    explicit_bzero(line, sizeof(line));
    if (result < 0)
        unlink(path);
    return result;
}

int keys_make(const char *name)
{
    char public[KEY_TEXT], secret[KEY_TEXT], path[4096];
    int result;

    if (zmq_curve_keypair(public, secret) < 0) {
        complain(name, "this libzmq was built without CURVE");
        return 1;
    }
    snprintf(path, sizeof(path), "%s.key", name);
    result = write_key(path, 0600, secret);
    explicit_bzero(secret, sizeof(secret));
    if (result < 0)
        return 1;
    snprintf(path, sizeof(path), "%s.pub", name);
    if (write_key(path, 0644, public) == 0)
        return 0;
    snprintf(path, sizeof(path), "%s.key", name);
    unlink(path); /* a half is of no use, and would be in the way of the next try */
    return 1;
}
