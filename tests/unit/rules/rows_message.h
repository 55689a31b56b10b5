/* SPDX-License-Identifier: MIT */
/* rows_message.h - message.h, tensor.h, npy.h, loader.h: see rules_test.c. */
ROW(tr_message_loan, CODE, "arena:arena specs:specs n:one timeout_ns:timeout out:out",
    tr_message_loan(P(0), P(1), U(2), I(3), P(4)))
ROW(tr_message_loan_bytes, CODE, "arena:arena nbytes:one timeout_ns:timeout out:out",
    tr_message_loan_bytes(P(0), U(1), I(2), P(3)))
ROW(tr_message_release, CODE, "message:message?", tr_message_release(P(0)))
ROW(tr_message_count, ZERO, "message:message", (intptr_t)tr_message_count(P(0)))
ROW(tr_message_tensor, ZERO, "message:message i:zero",
    (intptr_t)tr_message_tensor(P(0), U(1)))
ROW(tr_message_find, ZERO, "message:message name:name",
    (intptr_t)tr_message_find(P(0), P(1)))
ROW(tr_message_arena, ZERO, "message:message", (intptr_t)tr_message_arena(P(0)))
ROW(tr_message_header_get, CODE, "message:message header:header_out",
    tr_message_header_get(P(0), P(1)))
ROW(tr_message_header_set, CODE, "message:message header:header",
    tr_message_header_set(P(0), P(1)))
ROW(tr_message_origin_get, CODE, "message:message origin:origin_out",
    tr_message_origin_get(P(0), P(1)))
ROW(tr_message_origin_set, CODE, "message:message origin:origin",
    tr_message_origin_set(P(0), P(1)))
ROW(tr_message_seal, CODE, "message:message", tr_message_seal(P(0)))
ROW(tr_message_verify, CODE, "message:message", tr_message_verify(P(0)))

ROW(tr_dtype_bytes, ANY, "", (intptr_t)tr_dtype_bytes((tr_dtype){255, 255, 65535}))
ROW(tr_dtype_name, ANY, "", (intptr_t)tr_dtype_name((tr_dtype){255, 255, 65535}))
ROW(tr_tensor_nbytes, CODE, "shape:shape nbytes:out",
    tr_tensor_nbytes((tr_dtype){TR_DTYPE_UINT, 8, 1}, 1, P(0), P(1)))
ROW(tr_tensor_fill, CODE, "to:tensor from:out strides_bytes:shape?",
    tr_tensor_fill(P(0), P(1), P(2)))

ROW(tr_npy_decode, CODE,
    "head:out head_bytes:one file_bytes:one header_limit:zero npy:out",
    tr_npy_decode(P(0), U(1), U(2), U(3), P(4)))
ROW(tr_npy_encode, CODE, "spec:specs buffer:out capacity:one header_bytes:out",
    tr_npy_encode(P(0), P(1), U(2), P(3)))
ROW(tr_npy_dtype, CODE, "descr:descr dtype:out flags:out", tr_npy_dtype(P(0), P(1), P(2)))

ROW(tr_npy_load, CODE, "arena:arena path:path timeout_ns:timeout out:out",
    tr_npy_load(P(0), P(1), I(2), P(3)))
ROW(tr_loader_open, CODE, "arena:arena options:loader_options? out:out",
    tr_loader_open(P(0), P(1), P(2)))
ROW(tr_loader_close, NOTHING, "loader:loader", (tr_loader_close(P(0)), 0))
ROW(tr_loader_run, CODE,
    "loader:loader paths:paths n:one queue:queue timeout_ns:timeout report:load_report?",
    tr_loader_run(P(0), P(1), U(2), P(3), I(4), NULL, NULL, P(5)))
ROW(tr_npy_store, CODE, "message:message index:zero path:path",
    tr_npy_store(P(0), U(1), P(2)))
