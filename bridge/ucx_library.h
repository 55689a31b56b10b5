/* SPDX-License-Identifier: MIT */
/* ucx_library.h - UCX, loaded when it is asked for: a bridge without it starts as well.
 *
 * So the program can be packaged with both engines on systems whose UCX is too old or not there,
 * and a host with a fabric can have the UCX that its vendor gives. */
#ifndef TR_BRIDGE_UCX_LIBRARY_H
#define TR_BRIDGE_UCX_LIBRARY_H

#include <stdbool.h>
#include <ucp/api/ucp.h>
#include <ucs/debug/log_def.h>

#include "say.h"

#define UCX_CALLS(call)                                                                \
    call(ucp_am_data_release) call(ucp_am_recv_data_nbx) call(ucp_am_send_nbx)         \
        call(ucp_cleanup) call(ucp_config_modify) call(ucp_config_read)                \
            call(ucp_config_release) call(ucp_ep_close_nbx) call(ucp_ep_create)        \
                call(ucp_get_version_string) call(ucp_init_version)                    \
                    call(ucp_listener_create) call(ucp_listener_destroy)               \
                        call(ucp_listener_query) call(ucp_listener_reject)             \
                            call(ucp_request_free) call(ucp_worker_arm)                \
                                call(ucp_worker_create) call(ucp_worker_destroy)       \
                                    call(ucp_worker_get_efd) call(ucp_worker_progress) \
                                        call(ucp_worker_set_am_recv_handler)           \
                                            call(ucs_log_push_handler)                 \
                                                call(ucs_status_string)

#define UCX_FIELD(name) __typeof__(&(name)) name;

/* Its functions by their own names. */
struct ucx {
    UCX_CALLS(UCX_FIELD)
};

/* Load it, once for the process. NULL: it is not there or too old, and why. */
const struct ucx *ucx_load(char why[WHY_TEXT]);

/* A worker of a context with the settings of a bridge. False: and why. */
bool ucx_open_worker(const struct ucx *ucx, ucp_context_h *context, ucp_worker_h *worker,
                     char why[WHY_TEXT]);

/* Which network devices are up, as a number: a context knows those that were, when it was made. */
uint64_t ucx_devices(void);

#endif
