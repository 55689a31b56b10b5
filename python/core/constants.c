/* SPDX-License-Identifier: MIT */
/* constants.c - the library's numbers by the names that the Python layer has for them. */
#include "core.h"

#include <tensoring/broadcast.h>
#include <tensoring/enter.h>
#include <tensoring/pool.h>
#include <tensoring/waitset.h>

typedef struct Named {
    const char *name;
    long value;
} Named;

static const Named numbers[] = {
    {"ARENA_POPULATE", TR_ARENA_POPULATE},
    {"ARENA_HUGE", TR_ARENA_HUGE},
    {"ARENA_LAZY", TR_ARENA_LAZY},
    {"ARENA_ALLOW_PICKLE", TR_ARENA_ALLOW_PICKLE},
    {"ARENA_CRC32C", TR_ARENA_CRC32C},
    {"ARENA_OVERCOMMIT", TR_ARENA_OVERCOMMIT},
    {"ARENA_DUMP", TR_ARENA_DUMP},
    {"ARENA_SCRUB", TR_ARENA_SCRUB},
    {"ARENA_ELASTIC", TR_ARENA_ELASTIC},
    {"CONTENT_TENSORS", TR_CONTENT_TENSORS},
    {"CONTENT_OTHER", TR_CONTENT_OTHER},
    {"ENTER_NO_BIND", TR_ENTER_NO_BIND},
    {"ENTER_NO_ENV", TR_ENTER_NO_ENV},
    {"MAX_CAPACITY", TR_MAX_CAPACITY},
    {"MAX_CONTENT_TYPE", TR_MAX_CONTENT_TYPE},
    {"MAX_NDIM", TR_MAX_NDIM},
    {"MAX_PARTICIPANTS", TR_MAX_PARTICIPANTS},
    {"MAX_WORKERS", TR_MAX_WORKERS},
    {"MAX_TENSORS", TR_MAX_TENSORS},
    {"PLAN_FAST_ONLY", TR_PLAN_FAST_ONLY},
    {"PLAN_NO_QUOTA", TR_PLAN_NO_QUOTA},
    {"POOL_CLOSE_INHERITED", TR_POOL_CLOSE_INHERITED},
    {"POOL_DIE_WITH_MASTER", TR_POOL_DIE_WITH_MASTER},
    {"POOL_NO_PLAN", TR_POOL_NO_PLAN},
    {"POOL_READY_AT_START", TR_POOL_READY_AT_START},
    {"TENSOR_BYTESWAPPED", TR_TENSOR_BYTESWAPPED},
    {"TENSOR_F_ORDER", TR_TENSOR_F_ORDER},
    {"USER_BYTES", TR_USER_BYTES},
    {"WAIT_READABLE", TR_WAIT_READABLE},
    {"WAIT_WRITABLE", TR_WAIT_WRITABLE},
    {"WAIT_HUNGUP", TR_WAIT_HUNGUP},
    {NULL, 0},
};

/* The words of options, and what travels as a number. */
static const Named policies[] = {
    {"redeliver", TR_QUEUE_REDELIVER},
    {"drop", TR_QUEUE_DROP},
    {NULL, 0},
};

static const Named lags[] = {
    {"block", TR_LAG_BLOCK},
    {"drop_oldest", TR_LAG_DROP_OLDEST},
    {"evict", TR_LAG_EVICT},
    {NULL, 0},
};

static const Named plan_policies[] = {
    {"compact", TR_PLAN_COMPACT},
    {"spread", TR_PLAN_SPREAD},
    {"one_node", TR_PLAN_ONE_NODE},
    {"bandwidth", TR_PLAN_BANDWIDTH},
    {NULL, 0},
};

static const Named restarts[] = {
    {"on_failure", TR_RESTART_ON_FAILURE},
    {"always", TR_RESTART_ALWAYS},
    {"never", TR_RESTART_NEVER},
    {NULL, 0},
};

static const Named contents[] = {
    {"application/octet-stream", TR_CONTENT_OCTETS},
    {"text/plain", TR_CONTENT_TEXT},
    {"application/json", TR_CONTENT_JSON},
    {"application/jsonlines", TR_CONTENT_JSONL},
    {"text/csv", TR_CONTENT_CSV},
    {"application/x-npy", TR_CONTENT_NPY},
    {"application/x-npz", TR_CONTENT_NPZ},
    {"application/x-pickle", TR_CONTENT_PICKLE},
    {"application/vnd.apache.arrow.stream", TR_CONTENT_ARROW},
    {"text/libsvm", TR_CONTENT_LIBSVM},
    {NULL, 0},
};

/* Named by NumPy's letters where it has one, else as ml_dtypes names them. */
static const Named dtypes[] = {
    {"i", TR_DTYPE_INT},
    {"u", TR_DTYPE_UINT},
    {"f", TR_DTYPE_FLOAT},
    {"V", TR_DTYPE_OPAQUE},
    {"c", TR_DTYPE_COMPLEX},
    {"b", TR_DTYPE_BOOL},
    {"bfloat16", TR_DTYPE_BFLOAT},
    {"float8_e3m4", TR_DTYPE_FLOAT8_E3M4},
    {"float8_e4m3", TR_DTYPE_FLOAT8_E4M3},
    {"float8_e4m3b11fnuz", TR_DTYPE_FLOAT8_E4M3B11FNUZ},
    {"float8_e4m3fn", TR_DTYPE_FLOAT8_E4M3FN},
    {"float8_e4m3fnuz", TR_DTYPE_FLOAT8_E4M3FNUZ},
    {"float8_e5m2", TR_DTYPE_FLOAT8_E5M2},
    {"float8_e5m2fnuz", TR_DTYPE_FLOAT8_E5M2FNUZ},
    {"float8_e8m0fnu", TR_DTYPE_FLOAT8_E8M0FNU},
    {NULL, 0},
};

/* {name: number}, read by the Python layer when it is imported. */
static int add_table(PyObject *module, const char *name, const Named table[])
{
    PyObject *dict = PyDict_New();
    int code = dict ? 0 : -1;

    for (; code == 0 && table->name; table++) {
        PyObject *number = PyLong_FromLong(table->value);

        code = number ? PyDict_SetItemString(dict, table->name, number) : -1;
        Py_XDECREF(number);
    }
    if (code == 0)
        code = PyModule_AddObjectRef(module, name, dict);
    Py_XDECREF(dict);
    return code;
}

/* [(name, code, message)], made from the one table of the library. */
static int add_errors(PyObject *module)
{
    PyObject *list = PyList_New(0);
    int code = list ? 0 : -1;

#define ADD(name, value, text)                                                 \
    if (code == 0) {                                                           \
        PyObject *row = Py_BuildValue("(sis)", "TR_E" #name, (value), (text)); \
        code = row ? PyList_Append(list, row) : -1;                            \
        Py_XDECREF(row);                                                       \
    }
    TR_ERRORS(ADD)
#undef ADD
    if (code == 0)
        code = PyModule_AddObjectRef(module, "ERRORS", list);
    Py_XDECREF(list);
    return code;
}

int add_constants(PyObject *module)
{
    for (const Named *one = numbers; one->name; one++)
        if (PyModule_AddIntConstant(module, one->name, one->value) < 0)
            return -1;
    if (add_table(module, "POLICIES", policies) < 0 ||
        add_table(module, "LAGS", lags) < 0 ||
        add_table(module, "PLAN_POLICIES", plan_policies) < 0 ||
        add_table(module, "RESTARTS", restarts) < 0 ||
        add_table(module, "CONTENTS", contents) < 0 ||
        add_table(module, "DTYPES", dtypes) < 0 || add_errors(module) < 0)
        return -1;
#define TEXT(number)   #number
#define DIGITS(number) TEXT(number)
    return PyModule_AddStringConstant(module, "VERSION",
                                      DIGITS(TR_VERSION_MAJOR) "." DIGITS(
                                          TR_VERSION_MINOR) "." DIGITS(TR_VERSION_PATCH));
#undef DIGITS
#undef TEXT
}
