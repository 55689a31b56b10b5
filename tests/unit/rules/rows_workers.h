/* SPDX-License-Identifier: MIT */
/* rows_workers.h - plan.h, enter.h, pool.h, bridge.h, workers.h: see rules_test.c. */
ROW(tr_plan_create, CODE, "plan:out workers:one options:plan_options?",
    tr_plan_create((uint32_t)U(1), P(2), P(0)))
ROW(tr_plan_bytes, ANY, "", (int64_t)tr_plan_bytes())
ROW(tr_plan_info_get, CODE, "plan:plan info:plan_info", tr_plan_info_get(P(0), P(1)))
ROW(tr_plan_workers, CODE,
    "plan:plan out:out element_bytes:worker_bytes capacity:one count:out",
    tr_plan_workers(P(0), P(1), U(2), U(3), P(4)))
ROW(tr_plan_cores, CODE,
    "plan:plan out:out element_bytes:core_bytes capacity:one count:out",
    tr_plan_cores(P(0), P(1), U(2), U(3), P(4)))
ROW(tr_plan_text, CODE, "plan:plan buffer:out capacity:one needed:out?",
    tr_plan_text(P(0), P(1), U(2), P(3)))
ROW(tr_plan_svg, CODE, "plan:plan path:path", tr_plan_svg(P(0), P(1)))
ROW(tr_plan_put, CODE, "arena:arena plan:plan", tr_plan_put(P(0), P(1)))
ROW(tr_plan_get, CODE, "arena:arena plan:out", tr_plan_get(P(0), P(1)))
ROW(tr_cpuset_text, CODE, "set:cpus buffer:out capacity:one needed:out?",
    tr_cpuset_text(P(0), P(1), U(2), P(3)))
ROW(tr_cpuset_count, ZERO, "set:out", tr_cpuset_count(P(0)))

ROW(tr_worker_prefork, CODE, "paused:out?", tr_worker_prefork(P(0)))
ROW(tr_worker_enter, CODE, "plan:plan index:zero flags:flags report:worker_report?",
    tr_worker_enter(P(0), (uint32_t)U(1), (uint32_t)U(2), P(3)))
ROW(tr_worker_thread_enter, ANY, "", tr_worker_thread_enter())
ROW(tr_worker_leave, ANY, "", (tr_worker_leave(), 0))
ROW(tr_worker_index, ANY, "", tr_worker_index())
ROW(tr_worker_threads, ANY, "", tr_worker_threads())
ROW(tr_worker_bind_memory, CODE, "plan:plan index:zero address:out bytes:one",
    tr_worker_bind_memory(P(0), (uint32_t)U(1), P(2), U(3)))
ROW(tr_worker_libraries, CODE,
    "out:out element_bytes:library_bytes capacity:one count:out",
    tr_worker_libraries(P(0), U(1), U(2), P(3)))

ROW(tr_pool_start, CODE, "out:out options:pool_options", tr_pool_start(P(1), P(0)))
ROW(tr_pool_step, CODE, "pool:pool timeout_ns:timeout", tr_pool_step(P(0), I(1)))
ROW(tr_pool_fd, CODE, "pool:pool fd:out", tr_pool_fd(P(0), P(1)))
ROW(tr_pool_run, CODE, "pool:pool", tr_pool_run(P(0)))
ROW(tr_pool_resize, CODE, "pool:pool workers:one", tr_pool_resize(P(0), (uint32_t)U(1)))
ROW(tr_pool_reload, CODE, "pool:pool", tr_pool_reload(P(0)))
ROW(tr_pool_signal, NOTHING, "pool:pool signal:zero",
    (tr_pool_signal(P(0), (int)I(1)), 0))
ROW(tr_pool_drain, NOTHING, "pool:pool", (tr_pool_drain(P(0)), 0))
ROW(tr_pool_stop, CODE, "pool:pool timeout_ns:timeout", tr_pool_stop(P(0), I(1)))
ROW(tr_pool_close, NOTHING, "pool:pool", (tr_pool_close(P(0)), 0))
ROW(tr_pool_status_get, CODE, "pool:pool out:pool_status", tr_pool_status_get(P(0), P(1)))
ROW(tr_pool_plan, ZERO, "pool:pool", (intptr_t)tr_pool_plan(P(0)))
ROW(tr_pool_pid, ZERO, "pool:pool index:zero", tr_pool_pid(P(0), (uint32_t)U(1)))

ROW(tr_bridge_start, CODE, "arena:arena options:bridge_options out:out",
    tr_bridge_start(P(0), P(1), P(2)))
ROW(tr_bridge_queue, CODE, "bridge:bridge name:name direction:zero window:zero",
    tr_bridge_queue(P(0), P(1), (tr_bridge_direction)U(2), (uint32_t)U(3)))
ROW(tr_bridge_broadcast, CODE, "bridge:bridge name:name direction:zero",
    tr_bridge_broadcast(P(0), P(1), (tr_bridge_direction)U(2)))
ROW(tr_bridge_board, CODE, "bridge:bridge name:name direction:zero",
    tr_bridge_board(P(0), P(1), (tr_bridge_direction)U(2)))
ROW(tr_bridge_service, CODE,
    "bridge:bridge name:name direction:zero on_cut:zero window:zero",
    tr_bridge_service(P(0), P(1), (tr_bridge_direction)U(2), (tr_bridge_on_cut)U(3),
                      (uint32_t)U(4)))
ROW(tr_bridge_wait, CODE, "bridge:bridge state:zero timeout_ns:timeout",
    tr_bridge_wait(P(0), (tr_bridge_state)U(1), I(2)))
ROW(tr_bridge_status_read, CODE, "bridge:bridge status:bridge_status",
    tr_bridge_status_read(P(0), P(1)))
ROW(tr_bridge_stop, CODE, "bridge:bridge timeout_ns:timeout", tr_bridge_stop(P(0), I(1)))
ROW(tr_bridge_close, NOTHING, "bridge:bridge", (tr_bridge_close(P(0)), 0))

/* A worker's own handle is there in workers alone, as long as they run. */
ROW(tr_pool_worker_receive, CODE, "worker:worker queue:queue timeout_ns:timeout out:out",
    tr_pool_worker_receive(P(0), P(1), I(2), P(3)))
ROW(tr_pool_worker_stopping, ZERO, "worker:worker", tr_pool_worker_stopping(P(0)))
ROW(tr_waitset_add_pool_worker, CODE, "set:set worker:worker token:one",
    tr_waitset_add_pool_worker(P(0), P(1), U(2)))
ROW(tr_pool_worker_job_done, NOTHING, "worker:worker", (tr_pool_worker_job_done(P(0)), 0))
ROW(tr_pool_worker_ready, NOTHING, "worker:worker", (tr_pool_worker_ready(P(0)), 0))
ROW(tr_pool_worker_index, MINUS_ONE, "worker:worker", (int32_t)tr_pool_worker_index(P(0)))
ROW(tr_pool_worker_generation, ZERO, "worker:worker", tr_pool_worker_generation(P(0)))
ROW(tr_pool_worker_plan, ZERO, "worker:worker", (intptr_t)tr_pool_worker_plan(P(0)))
