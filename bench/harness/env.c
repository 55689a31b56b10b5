/* SPDX-License-Identifier: MIT */
/* What the figures depend on and do not show. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <tensoring/tensoring.h>
#include <time.h>
#include <unistd.h>

#include "harness/processes.h"
#include "harness/report.h"

#define STRING(x)    STRING_OF(x)
#define STRING_OF(x) #x
#define LIBRARY_VERSION \
    STRING(TR_VERSION_MAJOR) "." STRING(TR_VERSION_MINOR) "." STRING(TR_VERSION_PATCH)

/* The first line of a file that begins with @p key, from there on; "" if there is none. */
static void line_of(const char *path, const char *key, char *out, size_t size)
{
    char line[512];
    FILE *file = fopen(path, "r");

    out[0] = 0;
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        const char *value = line + strlen(key);
        value += strspn(value, " \t:");
        snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
        break;
    }
    fclose(file);
}

static void add_line(cJSON *o, const char *name, const char *path, const char *key)
{
    char value[512];

    line_of(path, key, value, sizeof value);
    cJSON_AddStringToObject(o, name, value[0] ? value : "unknown");
}

/* "always [never] force": the one in brackets. */
static void add_choice(cJSON *o, const char *name, const char *path)
{
    char value[512];

    line_of(path, "", value, sizeof value);
    char *chosen = strchr(value, '[');
    char *end = chosen ? strchr(chosen, ']') : NULL;
    if (end)
        *end = 0;
    cJSON_AddStringToObject(o, name, end ? chosen + 1 : "unknown");
}

struct cJSON *environment(void)
{
    cJSON *o = cJSON_CreateObject();
    struct utsname system;
    char now[32];
    const time_t seconds = time(NULL);
    struct tm utc;
    double load[3] = {0, 0, 0};

    cJSON_AddStringToObject(o, "library", LIBRARY_VERSION);
    cJSON_AddStringToObject(o, "commit", BENCH_COMMIT);
    cJSON_AddStringToObject(o, "compiler", BENCH_COMPILER " " __VERSION__);
    cJSON_AddStringToObject(o, "flags", BENCH_FLAGS);
    add_line(o, "cpu", "/proc/cpuinfo", "model name");
    cJSON_AddNumberToObject(o, "cpus", (double)sysconf(_SC_NPROCESSORS_ONLN));
    cJSON_AddNumberToObject(o, "cpus_allowed", processes_processors());
    if (uname(&system) == 0)
        cJSON_AddStringToObject(o, "kernel", system.release);
    add_line(o, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "");
    add_line(o, "smt", "/sys/devices/system/cpu/smt/active", "");
    add_choice(o, "shmem_enabled", "/sys/kernel/mm/transparent_hugepage/shmem_enabled");
    cJSON_AddBoolToObject(o, "pinned", processes_pinned());
    (void)getloadavg(load, 3);
    cJSON_AddNumberToObject(o, "load_average", load[0]);
    gmtime_r(&seconds, &utc);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    cJSON_AddStringToObject(o, "time", now);
    return o;
}
