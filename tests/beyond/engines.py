# SPDX-License-Identifier: MIT
"""The engines that a test runs over: both, or UCX only with TR_SOAK=1."""

from __future__ import annotations

import pytest

from hosts import SOAK

both = pytest.mark.parametrize("engine", ["zmq", "ucx"])
both_in_soak = pytest.mark.parametrize("engine", ["zmq", "ucx"] if SOAK else ["zmq"])
