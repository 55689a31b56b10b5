# SPDX-License-Identifier: MIT
"""An application that cannot be imported."""

raise LookupError("no model here")
