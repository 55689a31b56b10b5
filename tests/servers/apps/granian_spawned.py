# SPDX-License-Identifier: MIT
"""granian, whose workers are spawned: on some systems and versions of Python they are."""

import multiprocessing

from granian.cli import entrypoint

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    entrypoint()
