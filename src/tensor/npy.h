/* SPDX-License-Identifier: MIT */
/* npy.h - what the reader and the writer of .npy files share. */
#ifndef TR_SRC_NPY_H
#define TR_SRC_NPY_H

#define NPY_MAGIC       "\x93NUMPY"
#define NPY_MAGIC_BYTES 6
#define NPY_V1_PREFIX   10 /* magic, major, minor, 16 bits of length */
#define NPY_V2_PREFIX   12 /* ... 32 bits of length */

#endif
