# SPDX-License-Identifier: MIT
"""Arenas, and the channels in them."""
