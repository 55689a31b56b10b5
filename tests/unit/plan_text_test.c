/* SPDX-License-Identifier: MIT */
/* plan_text_test.c - a plan as text and as a drawing. */
#include "plan_scene.h"

static void text_shows_the_machine(void **state)
{
    static const tr_plan_options plain = TR_PLAN_OPTIONS_INIT;
    char text[4096], cut_off[16];
    size_t needed, again;

    (void)state;
    cut_one("package:2 [numa] l3:2 core:2 pu:2", 4, plain);
    assert_int_equal(tr_plan_text(&plan, text, sizeof(text), &needed), 0);
    assert_int_equal(needed, strlen(text) + 1);
    assert_non_null(strstr(text, "4 workers on 8 cores (16 CPUs), compact\n"));
    assert_non_null(strstr(text, "  package 0  node 0  L3 1   | 1 1 |\n"));
    assert_non_null(strstr(text, "  worker 3   2 cores, 2 threads, cpus 12-15\n"));
    assert_int_equal(tr_plan_text(&plan, NULL, 0, &again), 0);
    assert_int_equal(again, needed);
    assert_int_equal(tr_plan_text(&plan, cut_off, sizeof(cut_off), NULL), TR_EOVERFLOW);
    assert_memory_equal(cut_off, text, sizeof(cut_off) - 1);
    plan.worker[3].threads = 0;
    assert_int_equal(tr_plan_text(&plan, text, sizeof(text), NULL), TR_EINVAL);
    plan.worker[3].threads = TR_MAX_CPUS;
    memset(plan.quota_source, 'x', sizeof(plan.quota_source));
    assert_int_equal(tr_plan_text(&plan, text, sizeof(text), NULL), TR_EINVAL);
    plan.quota_source[0] = 0;
    assert_int_equal(tr_plan_text(&plan, text, sizeof(text), NULL), 0);
    plan.magic = 0;
    assert_int_equal(tr_plan_text(&plan, text, sizeof(text), NULL), TR_EINVAL);
}

static void expect_text(const char *expected)
{
    static char text[16384];

    assert_int_equal(tr_plan_text(&plan, text, sizeof(text), NULL), 0);
    if (!strstr(text, expected))
        fail_msg("no '%s' in\n%s", expected, text);
}

static void text_tells_what_is_special(void **state)
{
    struct machine machine = {"", "package:1 [numa] l3:2 core:6 pu:1", NULL, 4};
    struct quota quota = {.milli_cpus = 2500, .source = "/a/cpu.max", .cpuset_cpus = 12};
    hwloc_topology_t topology = make(&machine);
    tr_plan_options options = TR_PLAN_OPTIONS_INIT;

    (void)state;
    options.reserve_cores = 2;
    options.cores_per_worker = 1;
    assert_int_equal(plan_build(&plan, topology, 4, &options, &quota, 16), 0);
    expect_text("L3 0   fast       | 0 1 2 3 |\n");
    expect_text("L3 1   efficient  | - - - - - - |\n");
    options.cores_per_worker = 2;
    assert_int_equal(plan_build(&plan, topology, 3, &options, &quota, 16), 0);
    expect_text(", 2 reserved\n");
    expect_text("L3 0   fast       | 0 0 1 1 |\n");
    expect_text("L3 1   efficient  | 2 2 - - - - |\n");
    expect_text("efficient  | r r |\n");
    expect_text("limited by a quota of 2.500 CPUs (/a/cpu.max)\n");
    expect_text(", efficient\n");
    quota.milli_cpus = -1;
    assert_int_equal(plan_build(&plan, topology, 13, NULL, &quota, 16), 0);
    expect_text("0/1 ");
    expect_text(", shared\n");
    expect_text("limited by the cgroup's cpuset: 12 of 16 CPUs\n");
    expect_text("more workers than cores: they share\n");
    quota.cpuset_cpus = 14;
    assert_int_equal(plan_build(&plan, topology, 1, NULL, &quota, 16), 0);
    expect_text("1 worker on 12 cores");
    expect_text("limited by the affinity mask: 12 of 16 CPUs\n");
    hwloc_topology_destroy(topology);
    cut_one("package:2 [numa] core:2 pu:1", 1, (tr_plan_options)TR_PLAN_OPTIONS_INIT);
    expect_text(", spans memory nodes\n");
}

static void sets_print_as_lists(void **state)
{
    tr_cpuset set = {{0}};
    char text[64];
    size_t needed;

    (void)state;
    assert_int_equal(tr_cpuset_text(&set, text, sizeof(text), NULL), 0);
    assert_string_equal(text, "");
    for (uint32_t cpu = 62; cpu < 67; cpu++)
        set_add(&set, cpu);
    set_add(&set, 0);
    set_add(&set, TR_MAX_CPUS - 1);
    assert_int_equal(tr_cpuset_text(&set, text, 13, &needed), 0);
    assert_int_equal(needed, 13);
    assert_string_equal(text, "0,62-66,1023");
    assert_int_equal(tr_cpuset_text(&set, NULL, 0, &needed), 0);
    assert_int_equal(needed, 13);
    assert_int_equal(tr_cpuset_text(&set, text, 12, &needed), TR_EOVERFLOW);
    assert_int_equal(needed, 13);
    assert_string_equal(text, "0,62-66,102");
    assert_int_equal(tr_cpuset_text(&set, text, 0, NULL), TR_EOVERFLOW);
    assert_int_equal(tr_cpuset_count(&set), 7);
}

/* A folder that is all of PATH, so that what is installed does not matter. */
static const char *const programs[] = {"lstopo-no-graphics", "lstopo"};
static char folder[64], svg_path[96], *old_path;

static int enter_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/tensoring-plan-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(svg_path, sizeof(svg_path), "%s/plan.svg", folder);
    old_path = strdup(getenv("PATH") ? getenv("PATH") : "");
    return setenv("PATH", folder, 1);
}

static void program_path(char *path, size_t bytes, const char *name)
{
    snprintf(path, bytes, "%s/%s", folder, name);
}

static int leave_folder(void **state)
{
    char path[96];

    (void)state;
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        program_path(path, sizeof(path), programs[i]);
        unlink(path);
    }
    unlink(svg_path);
    setenv("PATH", old_path, 1);
    free(old_path);
    return rmdir(folder);
}

static void install(const char *name, const char *script)
{
    char path[96];
    FILE *file;

    program_path(path, sizeof(path), name);
    file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", script);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0700), 0);
}

/* Whether the drawing holds @p text. */
static bool drawn(const char *text)
{
    char line[1024];
    bool found = false;
    FILE *file = fopen(svg_path, "re");

    assert_non_null(file);
    while (!found && fgets(line, sizeof(line), file))
        found = strstr(line, text) != NULL;
    fclose(file);
    return found;
}

static void no_drawing_without_lstopo(void **state)
{
    (void)state;
    assert_int_equal(tr_plan_create(2, NULL, &plan), 0);
    assert_int_equal(tr_plan_svg(&plan, svg_path), TR_ENOTSUP);
    assert_non_null(strstr(tr_error_detail(), "lstopo"));
    assert_int_equal(access(svg_path, F_OK), -1);
}

static void any_lstopo_draws(void **state)
{
    (void)state;
    assert_int_equal(tr_plan_create(2, NULL, &plan), 0);
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        char path[96];

        install(programs[i], "test \"$4\" = -i && exec /bin/cat \"$5\"");
        assert_int_equal(tr_plan_svg(&plan, svg_path), 0);
        assert_true(drawn("worker 0")); /* what it was given to draw */
        program_path(path, sizeof(path), programs[i]);
        unlink(path);
    }
}

static void a_failed_drawing_is_told(void **state)
{
    (void)state;
    assert_int_equal(tr_plan_create(2, NULL, &plan), 0);
    install("lstopo", "exit 1");
    assert_int_equal(tr_plan_svg(&plan, svg_path), TR_EIO);
    assert_int_equal(access(svg_path, F_OK), -1);
    assert_int_equal(tr_plan_svg(&plan, "/nonexistent/folder/x.svg"), TR_EIO);
    assert_int_equal(tr_plan_svg(&plan, ""), TR_EINVAL);
}

/* The installed one, if there is one. One that draws with cairo has no text in its file. */
static void draws_where_lstopo_is(void **state)
{
    int err;

    (void)state;
    setenv("PATH", old_path, 1);
    assert_int_equal(tr_plan_create(2, NULL, &plan), 0);
    err = tr_plan_svg(&plan, svg_path);
    assert_true(err == TR_ENOTSUP || (err == 0 && drawn("<svg")));
}

#define DRAWING(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_shows_the_machine),
        cmocka_unit_test(text_tells_what_is_special),
        cmocka_unit_test(sets_print_as_lists),
        DRAWING(no_drawing_without_lstopo),
        DRAWING(any_lstopo_draws),
        DRAWING(a_failed_drawing_is_told),
        DRAWING(draws_where_lstopo_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
