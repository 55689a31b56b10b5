/* SPDX-License-Identifier: MIT */
/* dlpack.h - the structs of DLPack 1.1 as they lie in memory. The type triple is
 * tensoring's own tr_dtype, which is DLPack's. */
#ifndef TENSORING_PYTHON_DLPACK_H
#define TENSORING_PYTHON_DLPACK_H

#include <stdint.h>

#include <tensoring/tensor.h>

#define DLPACK_MAJOR     1u
#define DLPACK_MINOR     1u
#define DLPACK_PLAIN     "dltensor"
#define DLPACK_VERSIONED "dltensor_versioned"
#define DLPACK_READ_ONLY UINT64_C(1)
#define DLPACK_IS_COPIED UINT64_C(2)
#define DLPACK_CPU       1
#define DLPACK_CUDA_HOST 3

typedef struct DLDevice {
    int32_t type;
    int32_t id;
} DLDevice;

typedef struct DLTensor {
    void *data;
    DLDevice device;
    int32_t ndim;
    tr_dtype dtype;
    int64_t *shape;
    int64_t *strides; /* in elements */
    uint64_t byte_offset;
} DLTensor;

typedef struct DLManagedTensor {
    DLTensor tensor;
    void *manager;
    void (*deleter)(struct DLManagedTensor *self);
} DLManagedTensor;

typedef struct DLVersion {
    uint32_t major;
    uint32_t minor;
} DLVersion;

typedef struct DLManagedTensorVersioned {
    DLVersion version;
    void *manager;
    void (*deleter)(struct DLManagedTensorVersioned *self);
    uint64_t flags;
    DLTensor tensor;
} DLManagedTensorVersioned;

#endif
