/* SPDX-License-Identifier: MIT */
/* kinds.h - the kinds of arguments that are structs or values: see rules_test.c. */
#define NO_FIELD SIZE_MAX
#define RESULT   NO_FIELD, NO_FIELD, true

/* A struct with a size: with its defaults, and where it must be 0. */
static const struct sized {
    const char *kind;
    size_t size;
    size_t flags, reserved; /* offsets */
    bool result;            /* the library writes it */
    const void *defaults;
} structs[] = {
#define FLAGS(type)    offsetof(type, flags)
#define RESERVED(type) offsetof(type, reserved)
    {"arena_options", sizeof(tr_arena_options), FLAGS(tr_arena_options), NO_FIELD, false,
     &(const tr_arena_options)TR_ARENA_OPTIONS_INIT},
    {"attach_options", sizeof(tr_attach_options), FLAGS(tr_attach_options),
     RESERVED(tr_attach_options), false,
     &(const tr_attach_options)TR_ATTACH_OPTIONS_INIT},
    {"queue_options", sizeof(tr_queue_options), offsetof(tr_queue_options, stamp),
     NO_FIELD, false, &(const tr_queue_options)TR_QUEUE_OPTIONS_INIT},
    {"broadcast_options", sizeof(tr_broadcast_options),
     offsetof(tr_broadcast_options, stamp), RESERVED(tr_broadcast_options), false,
     &(const tr_broadcast_options)TR_BROADCAST_OPTIONS_INIT},
    {"subscription_options", sizeof(tr_subscription_options),
     offsetof(tr_subscription_options, lag), RESERVED(tr_subscription_options), false,
     &(const tr_subscription_options)TR_SUBSCRIPTION_OPTIONS_INIT},
    {"board_options", sizeof(tr_board_options), NO_FIELD, NO_FIELD, false,
     &(const tr_board_options)TR_BOARD_OPTIONS_INIT},
    {"loader_options", sizeof(tr_loader_options), FLAGS(tr_loader_options), NO_FIELD,
     false, &(const tr_loader_options)TR_LOADER_OPTIONS_INIT},
    {"plan_options", sizeof(tr_plan_options), FLAGS(tr_plan_options),
     RESERVED(tr_plan_options), false, &(const tr_plan_options)TR_PLAN_OPTIONS_INIT},
    {"pool_options", sizeof(tr_pool_options), FLAGS(tr_pool_options),
     RESERVED(tr_pool_options), false,
     &(const tr_pool_options){.struct_size = sizeof(tr_pool_options),
                              .workers = 1,
                              .flags = TR_POOL_NO_PLAN,
                              .run = work}},
    {"bridge_options", sizeof(tr_bridge_options), FLAGS(tr_bridge_options), NO_FIELD,
     false,
     &(const tr_bridge_options){.struct_size = sizeof(tr_bridge_options),
                                .flags = TR_BRIDGE_PLAIN_TRUST_NETWORK,
                                .peer = "localhost:7411",
                                .program = "/bin/cat"}},
    {"header", sizeof(tr_header), NO_FIELD, NO_FIELD, false,
     &(const tr_header)TR_HEADER_INIT},
    {"origin", sizeof(tr_origin), NO_FIELD, RESERVED(tr_origin), false,
     &(const tr_origin){sizeof(tr_origin), 0, 1, 2}},
    {"origin_out", sizeof(tr_origin), RESULT, &(const tr_origin)TR_ORIGIN_INIT},
    {"queue_options_out", sizeof(tr_queue_options), RESULT,
     &(const tr_queue_options)TR_QUEUE_OPTIONS_INIT},
    {"header_out", sizeof(tr_header), RESULT, &(const tr_header)TR_HEADER_INIT},
    {"histogram", sizeof(tr_histogram), RESULT, &(const tr_histogram)TR_HISTOGRAM_INIT},
    {"stats", sizeof(tr_stats), RESULT, &(const tr_stats)TR_STATS_INIT},
    {"arena_info", sizeof(tr_arena_info), RESULT,
     &(const tr_arena_info)TR_ARENA_INFO_INIT},
    {"load_report", sizeof(tr_loader_report), RESULT,
     &(const tr_loader_report)TR_LOADER_REPORT_INIT},
    {"worker_report", sizeof(tr_worker_report), RESULT,
     &(const tr_worker_report)TR_WORKER_REPORT_INIT},
    {"reap_report", sizeof(tr_reap_report), RESULT,
     &(const tr_reap_report)TR_REAP_REPORT_INIT},
    {"plan_info", sizeof(tr_plan_info), RESULT, &(const tr_plan_info)TR_PLAN_INFO_INIT},
    {"bridge_status", sizeof(tr_bridge_status), RESULT,
     &(const tr_bridge_status)TR_BRIDGE_STATUS_INIT},
    {"pool_status", sizeof(tr_pool_status), RESULT,
     &(const tr_pool_status)TR_POOL_STATUS_INIT},
};

static const struct sized *find_struct(const char *kind)
{
    for (size_t i = 0; i < sizeof(structs) / sizeof(structs[0]); i++)
        if (strcmp(structs[i].kind, kind) == 0)
            return &structs[i];
    return NULL;
}

static const int64_t shape[1] = {1};
static const tr_tensor_spec spec = {
    .dtype = {TR_DTYPE_UINT, 8, 1}, .ndim = 1, .shape = shape};
static const tr_cpuset cpus = {{1}};
static const char *const names[1] = {"rules"};

/* Kinds that are one value. */
static const struct value {
    const char *kind;
    const void *p;
    int64_t i;
} values[] = {
    {"zero", NULL, 0},
    {"one", NULL, 1},
    {"number", NULL, 0},
    {"timeout", NULL, TR_NOWAIT},
    {"flags", NULL, 0},
    {"want", NULL, TR_WAIT_READABLE},
    {"bad_fd", NULL, -1},
    {"worker", NULL, 0},
    {"name", "rules", 0},
    {"path", "/dev/null", 0},
    {"descr", "<M8[ns]", 0},
    {"names", names, 0},
    {"paths", names, 0},
    {"shape", shape, 0},
    {"specs", &spec, 0},
    {"plan", &plan, 0},
    {"cpus", &cpus, 0},
    {"person_bytes", NULL, sizeof(tr_participant_stats)},
    {"channel_bytes", NULL, sizeof(tr_channel_stats)},
    {"class_bytes", NULL, sizeof(tr_class_stats)},
    {"library_bytes", NULL, sizeof(tr_thread_library)},
    {"worker_bytes", NULL, sizeof(tr_plan_worker)},
    {"core_bytes", NULL, sizeof(tr_plan_core)},
};
