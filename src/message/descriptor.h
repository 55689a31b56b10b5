/* SPDX-License-Identifier: MIT */
/* descriptor.h - tensors as they lie in a slot: written by the sender, checked by each reader. */
#ifndef TR_SRC_DESCRIPTOR_H
#define TR_SRC_DESCRIPTOR_H

#include "src/message/message.h"

/* Where the parts of a message will be. */
struct plan {
    uint64_t data_bytes;  /* payloads, each at a multiple of TR_TENSOR_ALIGN */
    uint64_t table_bytes; /* descriptors and strings; 0: all fits in the record */
};

/* 0, TR_EINVAL, TR_EOVERFLOW, TR_ENAMETOOLONG. */
int descriptor_plan(const tr_tensor_spec specs[], size_t n, struct plan *plan);

/* The plan of what nearly every message is: one tensor of a common type, without texts.
 * False: descriptor_plan() must do it. */
bool descriptor_plan_plain(const tr_tensor_spec specs[], size_t n, struct plan *plan);

/* Write that one, and fill the handle without reading it back. */
void descriptor_write_plain(struct message *message, struct slot_record *record,
                            const tr_tensor_spec *spec, const struct plan *plan);

/* The same for a message that had others: apart, so that the one of a loan is inlined. */
int descriptor_write_again(struct message *message, const tr_tensor_spec *spec,
                           const struct plan *plan);

/* How much of a slot's payload it takes, where the table lies right behind the data. */
uint64_t descriptor_bytes(const struct plan *plan);

/* Whether the plan fits slots of that class. */
bool descriptor_fits(const struct slot_class *class, const struct plan *plan);

/* Write the descriptors of a slot that is ours. */
void descriptor_write(const struct view *view, uint32_t slot,
                      const tr_tensor_spec specs[], size_t n, const struct plan *plan);

/* The only tensor, in the record, begins at @p offset instead of 0. */
void descriptor_move_first(const struct view *view, uint32_t slot, uint64_t offset);

/* Read and check them into the handle. 0, TR_ECORRUPT, TR_ENOMEM. */
int descriptor_read(struct message *message, const struct slot_record *record,
                    const uint8_t *base);

/* The same for an object that had another slot. */
int descriptor_read_new(struct message *message, const struct slot_record *record,
                        const uint8_t *base);

#endif
