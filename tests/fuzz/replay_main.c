/* SPDX-License-Identifier: MIT */
/* replay_main.c - run a fuzzer's body on the files, and the files of the folders, given. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static unsigned replayed;

static void fail(const char *path)
{
    perror(path);
    exit(1);
}

/* Replay it in a block of just its size, so that a sanitizer sees a read beyond. */
static void replay_file(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(bytes ? bytes : 1);

    if (!file || !data || fread(data, 1, bytes, file) != bytes)
        fail(path);
    fclose(file);
    LLVMFuzzerTestOneInput(data, bytes);
    free(data);
    replayed++;
}

static void replay(const char *path)
{
    struct dirent *entry;
    struct stat about;
    char inner[4096];
    DIR *folder;

    if (stat(path, &about) != 0)
        fail(path);
    if (!S_ISDIR(about.st_mode)) {
        replay_file(path, (size_t)about.st_size);
        return;
    }
    folder = opendir(path);
    if (!folder)
        fail(path);
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name) >=
            (int)sizeof(inner))
            fail(path);
        replay(inner);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%u inputs replayed\n", replayed);
    return replayed == 0;
}
