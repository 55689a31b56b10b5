# SPDX-License-Identifier: MIT
"""Histograms of queues and services."""

from __future__ import annotations

import math

from tensoring.reports import ChannelStats, Counted

KINDS = ("wait", "service_time", "batch_size")
_LAST = (1 << 64) - 1  # the bound of the bucket for all that is larger


class Histogram:
    """How often values of each size were seen, from queue.histogram(kind): times in
    seconds, sizes of batches in rows.

    kind: "wait", "service_time" or "batch_size".
    count, sum: of the values.
    buckets: pairs of the largest value that a bucket counts (at most 25 % above its
    smallest; math.inf: all that is larger) and how many it has; without empty ones.

    It does not change. For any thread."""

    __slots__ = ("buckets", "count", "kind", "sum")

    def __init__(self, kind: str, found: Counted) -> None:
        unit = 1.0 if kind == "batch_size" else 1e-9
        self.kind = kind
        self.count = found["count"]
        self.sum = found["sum"] * unit
        self.buckets = [
            (math.inf if bound == _LAST else bound * unit, count)
            for bound, count in found["buckets"]
        ]

    @property
    def mean(self) -> float:
        """The mean of the values; nan if there are none."""
        return self.sum / self.count if self.count else math.nan

    def quantile(self, part: float) -> float:
        """The bound of the first bucket up to which a part (0 to 1) of the values lies,
        such as 0.99; nan if there are none."""
        seen = 0
        for bound, count in self.buckets:
            seen += count
            if seen >= part * self.count:
                return bound
        return self.buckets[-1][0] if self.buckets else math.nan

    def __repr__(self) -> str:
        return (
            f"<tensoring.Histogram {self.kind} of {self.count},"
            f" p50 {self.quantile(0.5):.3g}, p99 {self.quantile(0.99):.3g}>"
        )


def with_histograms(
    channels: list[ChannelStats], counted: list[list[Counted]]
) -> list[ChannelStats]:
    """The channels, each with what it has counted by kind."""
    for one, found in zip(channels, counted, strict=True):
        one["histograms"] = dict(zip(KINDS, found, strict=False))
    return channels
