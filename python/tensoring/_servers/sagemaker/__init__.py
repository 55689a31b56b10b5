# SPDX-License-Identifier: MIT
"""The contract of containers that SageMaker runs: requests, models, answers."""
