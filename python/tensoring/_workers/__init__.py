# SPDX-License-Identifier: MIT
"""Workers on cores of their own: plans, and a supervisor."""
