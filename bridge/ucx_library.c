/* SPDX-License-Identifier: MIT */
#include "ucx_library.h"

#include <dlfcn.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#if UCP_API_VERSION < UCP_VERSION(1, 22)
#error "UCX 1.22 or newer is needed: any stranger ends a bridge with an older one"
#endif

#define LIBRARY "libucp.so.0"
#define WAY_OUT                                                                        \
    "install a newer one and name its folder in LD_LIBRARY_PATH, or leave ucx:// out " \
    "of "                                                                              \
    "the address at both sides"

/* Its own lines go to standard output, if nobody else takes them. */
static ucs_log_func_rc_t take_line(const char *file, unsigned line, const char *function,
                                   ucs_log_level_t level,
                                   const ucs_log_component_config_t *component,
                                   const char *format, va_list arguments)
{
    char text[WHY_TEXT];

    (void)file, (void)line, (void)function, (void)level, (void)component;
    vsnprintf(text, sizeof(text), format, arguments);
    say("UCX: %s", text);
    return UCS_LOG_FUNC_RC_STOP;
}

/* Before any other call: what an older one does not have is not looked for. */
static bool check_version(void *library, char why[WHY_TEXT])
{
    void (*get)(unsigned *, unsigned *, unsigned *);
    unsigned major = 0, minor = 0, release = 0;

    *(void **)&get = dlsym(library, "ucp_get_version");
    if (get)
        get(&major, &minor, &release);
    if (major > UCP_API_MAJOR || (major == UCP_API_MAJOR && minor >= UCP_API_MINOR))
        return true;
    snprintf(why, WHY_TEXT, "this host has UCX %u.%u.%u, and ucx:// needs %d.%d: %s",
             major, minor, release, UCP_API_MAJOR, UCP_API_MINOR, WAY_OUT);
    return false;
}

#define UCX_PLACE(name) {#name, offsetof(struct ucx, name)},

static bool find_calls(void *library, struct ucx *ucx, char why[WHY_TEXT])
{
    static const struct {
        const char *name;
        size_t place;
    } calls[] = {UCX_CALLS(UCX_PLACE)};

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        void *call = dlsym(library, calls[i].name);

        if (!call) {
            snprintf(why, WHY_TEXT, "this host's UCX has no %s: %s", calls[i].name,
                     WAY_OUT);
            return false;
        }
        *(void **)((char *)ucx + calls[i].place) = call;
    }
    return true;
}

const struct ucx *ucx_load(char why[WHY_TEXT])
{
    static struct ucx ucx;
    static bool loaded;
    void *library;

    if (loaded)
        return &ucx;
    library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(why, WHY_TEXT, "ucx:// needs UCX %d.%d, and it cannot be loaded: %s; %s",
                 UCP_API_MAJOR, UCP_API_MINOR, dlerror(), WAY_OUT);
        return NULL;
    }
    if (!check_version(library, why) || !find_calls(library, &ucx, why)) {
        dlclose(library);
        return NULL;
    }
    ucx.ucs_log_push_handler(take_line);
    loaded = true;
    return &ucx;
}

/* What the bridge relies on, whatever the environment says; and what the environment may change
 * (@p usual). A dead link must be told: with data on its way TCP alone tries for many minutes,
 * and without data it does not try. */
static const struct setting {
    const char *name, *value;
    bool usual;
} settings[] = {
    {"TCP_KEEPIDLE", "1s", false},
    {"TCP_KEEPINTVL", "1s", false},
    {"TCP_KEEPCNT", "2", false},
    {"TCP_USER_TIMEOUT", "2s", false},
    {"TCP_CM_USER_TIMEOUT", "2s", false},
    {"KEEPALIVE_INTERVAL", "1s", false},
    {"TCP_CONN_NB", "y", false},       /* the one thread of the bridge does not wait */
    {"TCP_CM_REUSEADDR", "y", false},  /* of a listener that was killed */
    {"CM_USE_ALL_DEVICES", "n", true}, /* only that on which the two have met */
    {"TLS", "^shm", true},             /* two arenas of one host are two hosts, too */
};

static bool take_settings(const struct ucx *ucx, ucp_config_t *config, char why[WHY_TEXT])
{
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        char variable[64];
        ucs_status_t status;

        snprintf(variable, sizeof(variable), "UCX_%s", settings[i].name);
        if (settings[i].usual && getenv(variable))
            continue;
        status = ucx->ucp_config_modify(config, settings[i].name, settings[i].value);
        if (status != UCS_OK) {
            snprintf(why, WHY_TEXT, "UCX does not take %s=%s: %s", variable,
                     settings[i].value, ucx->ucs_status_string(status));
            return false;
        }
    }
    return true;
}

static bool failed(const struct ucx *ucx, const char *what, ucs_status_t status,
                   char why[WHY_TEXT])
{
    if (status == UCS_OK)
        return false;
    snprintf(why, WHY_TEXT, "UCX has no %s: %s", what, ucx->ucs_status_string(status));
    return true;
}

static bool open_context(const struct ucx *ucx, ucp_context_h *context,
                         char why[WHY_TEXT])
{
    const ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES,
                                 .features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP};
    ucp_config_t *config;
    bool opened = false;

    if (failed(ucx, "settings", ucx->ucp_config_read(NULL, NULL, &config), why))
        return false;
    if (take_settings(ucx, config, why))
        opened = !failed(
            ucx, "context",
            ucx->ucp_init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, context),
            why);
    ucx->ucp_config_release(config);
    return opened;
}

bool ucx_open_worker(const struct ucx *ucx, ucp_context_h *context, ucp_worker_h *worker,
                     char why[WHY_TEXT])
{
    const ucp_worker_params_t params = {.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE,
                                        .thread_mode = UCS_THREAD_MODE_SINGLE};

    if (!open_context(ucx, context, why))
        return false;
    if (!failed(ucx, "worker", ucx->ucp_worker_create(*context, &params, worker), why))
        return true;
    ucx->ucp_cleanup(*context);
    return false;
}

uint64_t ucx_devices(void)
{
    const unsigned up = IFF_UP | IFF_RUNNING;
    struct ifaddrs *all;
    uint64_t sum = 0;

    if (getifaddrs(&all) < 0)
        return 0;
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        uint64_t word = if_nametoindex(one->ifa_name);

        if ((one->ifa_flags & up) == up && one->ifa_addr &&
            (one->ifa_addr->sa_family == AF_INET || one->ifa_addr->sa_family == AF_INET6))
            sum += (word + 1) * UINT64_C(0x9e3779b97f4a7c15);
    }
    freeifaddrs(all);
    return sum;
}
