/* SPDX-License-Identifier: MIT */
/* rows_arena.h - arena.h, device.h, error.h, look.h, stats.h: see rules_test.c. */
ROW(tr_arena_create, CODE, "out:out name:name? options:arena_options?",
    tr_arena_create(P(1), P(2), P(0)))
ROW(tr_arena_attach, CODE, "out:out name:name options:attach_options?",
    tr_arena_attach(P(1), P(2), P(0)))
ROW(tr_arena_attach_fd, CODE, "out:out fd:bad_fd", tr_arena_attach_fd(I(1) != 0, P(0)))
ROW(tr_arena_close, NOTHING, "arena:arena", (tr_arena_close(P(0)), 0))
ROW(tr_arena_unlink, CODE, "name:name", tr_arena_unlink(P(0)))
ROW(tr_arena_sweep, CODE, "prefix:name removed:out?", tr_arena_sweep(P(0), P(1)))
ROW(tr_arena_reap, CODE, "arena:arena report:reap_report?", tr_arena_reap(P(0), P(1)))
ROW(tr_arena_trim, CODE, "arena:arena bytes:out?", tr_arena_trim(P(0), P(1)))
ROW(tr_arena_info_get, CODE, "arena:arena info:arena_info", tr_arena_info_get(P(0), P(1)))
ROW(tr_arena_set_spin, NOTHING, "arena:arena spin_ns:number",
    (tr_arena_set_spin(P(0), I(1)), 0))
ROW(tr_arena_set_interruptible, NOTHING, "arena:arena on:number",
    (tr_arena_set_interruptible(P(0), (int)I(1)), 0))

ROW(tr_arena_device_fd, CODE, "arena:arena fd:out", tr_arena_device_fd(P(0), P(1)))
ROW(tr_message_device_begin, CODE, "message:message", tr_message_device_begin(P(0)))
ROW(tr_message_device_end, CODE, "message:message", tr_message_device_end(P(0)))

ROW(tr_arena_name, ZERO, "arena:arena", (intptr_t)tr_arena_name(P(0)))
ROW(tr_log_set, NOTHING, "", (tr_log_set(NULL, NULL), 0))
ROW(tr_version, ANY, "", tr_version())
ROW(tr_version_text, ANY, "", (intptr_t)tr_version_text())
ROW(tr_version_check, ANY, "", tr_version_check(TR_VERSION))

ROW(tr_strerror, ANY, "err:number", (intptr_t)tr_strerror((int)I(0)))
ROW(tr_error_name, ANY, "err:number", (intptr_t)tr_error_name((int)I(0)))
ROW(tr_error_detail, ANY, "", (intptr_t)tr_error_detail())

ROW(tr_look_open, CODE, "out:out name:name", tr_look_open(P(1), P(0)))
ROW(tr_look_open_fd, CODE, "out:out fd:bad_fd", tr_look_open_fd((int)I(1), P(0)))
ROW(tr_look_close, NOTHING, "look:look", (tr_look_close(P(0)), 0))
ROW(tr_look_stats, CODE, "look:look stats:stats", tr_look_stats(P(0), P(1)))
ROW(tr_look_participants, CODE,
    "look:look out:out element_bytes:person_bytes capacity:one count:out",
    tr_look_participants(P(0), P(1), U(2), U(3), P(4)))
ROW(tr_look_channels, CODE,
    "look:look out:out element_bytes:channel_bytes capacity:one count:out",
    tr_look_channels(P(0), P(1), U(2), U(3), P(4)))
ROW(tr_look_classes, CODE,
    "look:look out:out element_bytes:class_bytes capacity:one count:out",
    tr_look_classes(P(0), P(1), U(2), U(3), P(4)))
ROW(tr_look_histogram, CODE, "look:look channel:name kind:zero histogram:histogram",
    tr_look_histogram(P(0), P(1), (uint32_t)U(2), P(3)))
ROW(tr_look_info, CODE, "look:look info:arena_info", tr_look_info(P(0), P(1)))

ROW(tr_stats_get, CODE, "arena:arena stats:stats", tr_stats_get(P(0), P(1)))
ROW(tr_stats_participants, CODE,
    "arena:arena out:out element_bytes:person_bytes capacity:one count:out",
    tr_stats_participants(P(0), P(1), U(2), U(3), P(4)))
ROW(tr_stats_channels, CODE,
    "arena:arena out:out element_bytes:channel_bytes capacity:one count:out",
    tr_stats_channels(P(0), P(1), U(2), U(3), P(4)))
ROW(tr_histogram_bound, ZERO, "histogram:histogram bucket:zero",
    (intptr_t)tr_histogram_bound(P(0), (uint32_t)U(1)))
ROW(tr_histogram_quantile, ZERO, "histogram:histogram part:zero",
    (intptr_t)tr_histogram_quantile(P(0), (double)U(1)))
ROW(tr_stats_histogram, CODE, "arena:arena channel:name kind:zero histogram:histogram",
    tr_stats_histogram(P(0), P(1), (uint32_t)U(2), P(3)))
ROW(tr_stats_classes, CODE,
    "arena:arena out:out element_bytes:class_bytes capacity:one count:out",
    tr_stats_classes(P(0), P(1), U(2), U(3), P(4)))
