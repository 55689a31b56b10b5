# SPDX-License-Identifier: MIT
"""A model that other processes serve."""

from __future__ import annotations

from tensoring import sagemaker

app = sagemaker.application(service="ranker")
