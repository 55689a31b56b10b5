# SPDX-License-Identifier: MIT
"""Stand-ins for multiprocessing's queues."""
