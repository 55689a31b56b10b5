# SPDX-License-Identifier: MIT
"""How objects become parts of messages, and objects again."""
