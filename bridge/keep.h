/* SPDX-License-Identifier: MIT */
/* keep.h - `tensoring bridge keep`, for programs that start a bridge: it runs one as its child, and
 * again when it dies, until its input ends.
 *
 *     tensoring bridge keep connect|listen [OPTION...]
 *
 * Each line of its input is one more argument of the bridge, "--queue=out:jobs", or "stop MS":
 * how long the bridge may wait for receipts when the input ends. The first argument starts the
 * bridge; later ones replace it. One that is wrong ends it with the exit status of the bridge. */
#ifndef TR_BRIDGE_KEEP_H
#define TR_BRIDGE_KEEP_H

int keep_main(int argc, char **argv);

#endif
