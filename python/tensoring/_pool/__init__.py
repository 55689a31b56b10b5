# SPDX-License-Identifier: MIT
"""Stand-ins for multiprocessing's Pool and concurrent.futures' executor."""
