/* SPDX-License-Identifier: MIT */
/* reload LIBRARY: a program that loads the library, uses it and unloads it repeatedly, as a host
 * of plug-ins does, has no more memory mapped after many times than after a few. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tensoring/queue.h>

typedef int creates(const char *, const tr_arena_options *, tr_arena **);
typedef int opens(tr_arena *, const char *, const tr_queue_options *, tr_queue **);
typedef void closes(tr_arena *);

/* ISO C has no conversion of what dlsym() returns. */
static void find(void *library, const char *name, void *to)
{
    void *at = dlsym(library, name);

    if (!at) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    memcpy(to, &at, sizeof(at));
}

static int load_and_use(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    tr_arena *arena;
    tr_queue *queue;
    creates *create;
    opens *open;
    closes *close;

    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    find(library, "tr_arena_create", &create);
    find(library, "tr_queue_open", &open);
    find(library, "tr_arena_close", &close);
    if (create(NULL, NULL, &arena) || open(arena, "q", NULL, &queue))
        return 1;
    close(arena);
    return dlclose(library);
}

static int mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int count = 0;

    for (int c; maps && (c = getc(maps)) != EOF;)
        count += c == '\n';
    if (maps)
        (void)fclose(maps);
    return count;
}

int main(int argc, char **argv)
{
    enum { FEW = 5, MANY = 30 };
    int few = 0, many;

    if (argc != 2)
        return 2;
    for (int i = 0; i < MANY; i++) {
        if (i == FEW)
            few = mappings();
        if (load_and_use(argv[1]) != 0)
            return 1;
    }
    many = mappings();
    if (many < few + (MANY - FEW))
        return 0;
    fprintf(stderr, "%d mappings after %d times, %d after %d\n", few, FEW, many, MANY);
    return 1;
}
