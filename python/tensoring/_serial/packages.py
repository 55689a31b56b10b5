# SPDX-License-Identifier: MIT
"""Classes of packages that are not imported for it: an object of a package cannot exist
before the package is."""

from __future__ import annotations

import sys
from typing import Any


def is_of(obj: Any, module: str, name: str) -> bool:
    """Whether an object is of a class, named by its module and name."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(obj, kind)
