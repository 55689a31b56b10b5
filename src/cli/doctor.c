/* SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <argp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum { KEY_JSON = 0x200 };

static const struct argp_option options[] = {{"json", KEY_JSON, NULL, 0, "Print JSON", 0},
                                             {0}};

static const char *const verdicts[] = {"fine", "note", "warning", "bad"};

struct finding *found(struct findings *to, const char *name, enum verdict verdict)
{
    struct finding *one = &to->list[to->count];

    if (to->count + 1 < sizeof(to->list) / sizeof(to->list[0]))
        to->count++;
    *one = (struct finding){.name = name, .verdict = verdict};
    return one;
}

void text_of(struct finding *to, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(to->text, sizeof(to->text), format, args);
    va_end(args);
}

void advise(struct finding *to, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(to->advice, sizeof(to->advice), format, args);
    va_end(args);
}

char *read_file(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    char *got;

    if (!file)
        return NULL;
    got = fgets(line, (int)size, file);
    fclose(file);
    if (got)
        got[strcspn(got, "\n")] = 0;
    return got;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != KEY_JSON)
        return ARGP_ERR_UNKNOWN;
    *(bool *)state->input = true;
    return 0;
}

static cJSON *to_json(const struct findings *findings)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(json, "findings");

    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *one = &findings->list[i];
        cJSON *entry = cJSON_CreateObject();

        cJSON_AddStringToObject(entry, "name", one->name);
        cJSON_AddStringToObject(entry, "verdict", verdicts[one->verdict]);
        cJSON_AddStringToObject(entry, "text", one->text);
        cJSON_AddStringToObject(entry, "advice", one->advice);
        cJSON_AddItemToArray(list, entry);
    }
    return json;
}

static void print(const struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *one = &findings->list[i];

        printf("%-8s %-20s %s\n", verdicts[one->verdict], one->name, one->text);
        if (*one->advice)
            printf("%-8s %-20s   %s\n", "", "", one->advice);
    }
}

int cmd_doctor(int argc, char **argv)
{
    static const struct argp_child children[] = {{&help_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {options,
                                     parse,
                                     NULL,
                                     "Say what this machine and container allow, and "
                                     "what would go wrong. The exit code is "
                                     "1 if something tensoring needs is missing.",
                                     children,
                                     NULL,
                                     NULL};
    static struct findings findings;
    bool json = false;
    int code = 0;

    argp_parse(&argp, argc, argv, 0, NULL, &json);
    examine_memory(&findings);
    examine_kernel(&findings);
    examine_cpus(&findings);
    for (size_t i = 0; i < findings.count; i++)
        code |= findings.list[i].verdict == BAD;
    if (json)
        return print_json(to_json(&findings)) | code;
    print(&findings);
    return code;
}
