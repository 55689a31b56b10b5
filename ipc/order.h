/* SPDX-License-Identifier: MIT */
/* order.h - every ordering edge by name; -DTR_WEAKEN_E1 builds its mutant, which a test must
 * catch. The argument for each stands at its two ends and in docs/explanation/memory-model.md. */
#ifndef TR_IPC_ORDER_H
#define TR_IPC_ORDER_H

#include <stdatomic.h>

/* E0: control block written -> magic read. */
#ifdef TR_WEAKEN_E0
#define E0_READY memory_order_relaxed
#define E0_LOOK  memory_order_relaxed
#else
#define E0_READY memory_order_release
#define E0_LOOK  memory_order_acquire
#endif

/* E1: slot record and payload written -> read by the claimer of the slot. */
#ifdef TR_WEAKEN_E1
#define E1_PUT  memory_order_relaxed
#define E1_TAKE memory_order_relaxed
#else
#define E1_PUT  memory_order_release
#define E1_TAKE memory_order_seq_cst /* also a look of E3 */
#endif

/* E2: last access of a slot's holder -> slot loaned again. The free is seq_cst because it
 * also is the change that E3 speaks of. */
#ifdef TR_WEAKEN_E2
#define E2_FREE memory_order_relaxed
#define E2_LOAN memory_order_relaxed
#else
#define E2_FREE memory_order_seq_cst
#define E2_LOAN memory_order_acquire
#endif

/* E3: one order of announce, look, change and the waker's load: all seq_cst. */
#define E3 memory_order_seq_cst

/* E4: participant entry written -> entry read by its reaper. The releasing end is
 * E7_JOIN, the one compare-and-swap that makes an entry live. */
#ifdef TR_WEAKEN_E4
#define E4_LOOK memory_order_relaxed
#else
#define E4_LOOK memory_order_acquire
#endif

/* E5: channel entry written -> channel opened. */
#ifdef TR_WEAKEN_E5
#define E5_READY memory_order_relaxed
#define E5_OPEN  memory_order_relaxed
#else
#define E5_READY memory_order_release
#define E5_OPEN  memory_order_acquire
#endif

/* E6: what a holder saw and wrote of a slot -> the process that takes it over from the
 * dead, and from the reaper to the next receiver. */
#ifdef TR_WEAKEN_E6
#define E6_CLAIM memory_order_relaxed
#define E6_REAP  memory_order_relaxed
#define E6_LOOK  memory_order_relaxed
#else
#define E6_CLAIM memory_order_seq_cst /* also a change of E3 */
#define E6_REAP  memory_order_acq_rel
#define E6_LOOK  memory_order_acquire
#endif

/* E7: sweep of a dead participant -> its entry claimed by a new one. The join is seq_cst
 * because E9 asks that a scanner of pins either sees the newcomer or came before its looks. */
#ifdef TR_WEAKEN_E7
#define E7_SWEPT memory_order_relaxed
#define E7_JOIN  memory_order_relaxed
#else
#define E7_SWEPT memory_order_acq_rel
#define E7_JOIN  memory_order_seq_cst
#endif

/* E8: slot queued -> cell that names it read. seq_cst because the put also is the change,
 * and the look the look, of E3. Atomics on both ends: the explorer has its mutants. */
#define E8_PUT  memory_order_seq_cst
#define E8_LOOK memory_order_seq_cst

/* E9: one order of pin, second look at the cell, cell replaced, slot retired and pins
 * scanned: all seq_cst. */
#define E9 memory_order_seq_cst

/* E10: last access of a reader of a shared slot -> slot freed by the scanner of pins. The
 * unpinning is seq_cst because it also is a change that E3 speaks of, the scan of E9. */
#ifdef TR_WEAKEN_E10
#define E10_UNPIN memory_order_relaxed
#define E10_SCAN  memory_order_relaxed
#else
#define E10_UNPIN memory_order_seq_cst
#define E10_SCAN  memory_order_seq_cst
#endif

/* E11: slot record and payload written -> read by the process that pins the shared slot.
 * The slot's word is filled with release; the cell is put and looked at with seq_cst
 * because that also is the change, and the look, of E3, E9 and E13. */
#ifdef TR_WEAKEN_E11
#define E11_FILL memory_order_relaxed
#define E11_PUT  memory_order_relaxed
#define E11_TAKE memory_order_relaxed
#else
#define E11_FILL memory_order_release
#define E11_PUT  memory_order_seq_cst
#define E11_TAKE memory_order_seq_cst
#endif

/* E12: key of a board written -> compared. Atomics on both ends: no TSan mutant. */
#define E12_BOTH memory_order_acq_rel
#define E12_OPEN memory_order_acquire

/* E13: one order of subscriber registered, tail looked for, cell filled and subscribers
 * scanned: all seq_cst. */
#define E13 memory_order_seq_cst

/* E14: message claimed -> cell filled again. Atomics on both ends: no TSan mutant. */
#define E14_PASS memory_order_release
#define E14_LOOK memory_order_acquire

/* E15: entry made live -> seen by the process that closes the arena to newcomers; or else
 * the newcomer sees it closed. Atomics on both ends: no TSan mutant. */
#define E15_JOIN  memory_order_acq_rel
#define E15_LOOK  memory_order_acquire
#define E15_CLOSE memory_order_acq_rel

/* E16: cell names a shared slot -> slot seen SHARED by a reaper, which looks whether its cell
 * has been replaced. The look is E6_LOOK. Atomics on both ends: no TSan mutant. */
#define E16_NAMED memory_order_release

/* E17: one order of reply put and ticket looked at again; ticket ended and inbox looked into:
 * all seq_cst, as are the put (E8, or E3 of an orphan's mark) and the looks (E8, E3). */
#define E17 memory_order_seq_cst

#endif
