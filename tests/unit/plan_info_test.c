/* SPDX-License-Identifier: MIT */
/* What a program sees of a plan, and where it may keep one. */
#include "support.h"

#include <sys/mman.h>

#include "src/workers/plan_bytes.h"

static tr_plan plan; /* 54 KiB: not on the stack */

/* What a program sees, which knows nothing of the bytes; one of an older header less of it. */
static void tells_what_it_is(void **state)
{
    enum { OLD = offsetof(tr_plan_worker, threads) };
    static unsigned char old[3][OLD], guard[OLD];
    static tr_plan_worker worker[3];
    static tr_plan_core core[TR_MAX_CPUS];
    tr_plan_info info = TR_PLAN_INFO_INIT;
    size_t count;

    (void)state;
    assert_int_equal(tr_plan_create(2, NULL, &plan), 0);
    assert_int_equal(tr_plan_bytes(), sizeof(plan));
    assert_int_equal(tr_plan_info_get(&plan, &info), 0);
    assert_int_equal(info.workers, 2);
    assert_int_equal(info.cores, plan.cores);
    assert_int_equal(info.cpus, plan.cpus);
    assert_memory_equal(&info.allowed, &plan.allowed, sizeof(info.allowed));
    info.struct_size = offsetof(tr_plan_info, cores);
    info.cores = 99;
    assert_int_equal(tr_plan_info_get(&plan, &info), 0);
    assert_int_equal(info.cores, 99);
    assert_int_equal(tr_plan_workers(&plan, worker, sizeof(worker[0]), 3, &count), 0);
    assert_int_equal(count, 2);
    assert_memory_equal(worker, plan.worker, 2 * sizeof(worker[0]));
    assert_int_equal(tr_plan_workers(&plan, (tr_plan_worker *)old, OLD, 3, &count), 0);
    assert_memory_equal(old[0], &worker[0], OLD);
    assert_memory_equal(old[1], &worker[1], OLD);
    assert_memory_equal(old[2], guard, OLD);
    assert_int_equal(tr_plan_cores(&plan, core, sizeof(core[0]), TR_MAX_CPUS, &count), 0);
    assert_int_equal(count, plan.cores);
    assert_memory_equal(core, plan.core, plan.cores * sizeof(core[0]));
    assert_int_equal(tr_plan_cores(&plan, core, sizeof(core[0]), 1, &count), 0);
    assert_int_equal(count, 1);
    plan.magic++;
    assert_int_equal(tr_plan_info_get(&plan, &info), TR_EINVAL);
}

/* A plan in shared memory, which a child that was forked before has, too. */
static void lies_in_shared_memory(void **state)
{
    tr_plan *shared = mmap(NULL, tr_plan_bytes(), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int ready[2], status;
    char byte;
    pid_t child;

    (void)state;
    assert_true(shared != MAP_FAILED);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        tr_plan_info info = TR_PLAN_INFO_INIT;

        if (read(ready[0], &byte, 1) != 1 || tr_plan_info_get(shared, &info))
            _exit(1);
        _exit(info.workers == 2 ? 0 : 2);
    }
    assert_int_equal(tr_plan_create(2, NULL, shared), 0);
    assert_int_equal(write(ready[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ready[0]);
    close(ready[1]);
    munmap(shared, tr_plan_bytes());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_it_is),
        cmocka_unit_test(lies_in_shared_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
