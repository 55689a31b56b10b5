# SPDX-License-Identifier: MIT
"""The arena of a web server: made once, found by each of its processes."""
