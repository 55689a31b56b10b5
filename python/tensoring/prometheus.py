# SPDX-License-Identifier: MIT
"""Metrics of an arena for Prometheus.

    prometheus_client.REGISTRY.register(tensoring.prometheus.Collector(arena))

or, without prometheus_client, an endpoint that answers with openmetrics(arena) and the
content type CONTENT_TYPE. Several arenas are told apart by a label:

    Collector({"features": features, "models": "models"})      # arena="features", ...

The counters lie in the arena: every worker gives the totals of
all, those that have died included, so one that is asked is enough. There are no files for
each process (PROMETHEUS_MULTIPROC_DIR), and the cost does not grow with restarts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tensoring._servers.metrics import Arenas, Family, families

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _value(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(float(number))


def _sample(name: str, labels: Mapping[str, str], number: float) -> str:
    pairs = ",".join(f'{k}="{v.translate(_ESCAPES)}"' for k, v in labels.items())
    where = f"{{{pairs}}}" if pairs else ""
    return f"{name}{where} {_value(number)}"


def _lines(family: Family) -> Iterator[str]:
    yield f"# TYPE {family.name} {family.kind}"
    yield f"# HELP {family.name} {family.help}"
    suffix = "_total" if family.kind == "counter" else ""
    for labels, number in family.samples:
        yield _sample(family.name + suffix, labels, number)
    for labels, one in family.distributions:
        for bound, count in one.buckets:
            yield _sample(f"{family.name}_bucket", {**labels, "le": bound}, count)
        yield _sample(f"{family.name}_count", labels, one.buckets[-1][1])
        yield _sample(f"{family.name}_sum", labels, one.sum)


def openmetrics(arenas: Arenas) -> str:
    """The metrics as OpenMetrics text. A named arena is looked at without joining it.
    Each arena of a mapping has its key as the label `arena`."""
    lines = [line for family in families(arenas) for line in _lines(family)]
    return "\n".join([*lines, "# EOF", ""])


class Collector:
    """A collector for a registry of prometheus_client, which takes one: several arenas
    are given to it as a mapping, as to openmetrics()."""

    def __init__(self, arenas: Arenas) -> None:
        self._arenas = arenas

    def collect(self) -> Iterator[Any]:
        """The metrics as they are now."""
        from prometheus_client.metrics_core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        kinds: dict[str, Any] = {
            "counter": CounterMetricFamily,
            "gauge": GaugeMetricFamily,
            "histogram": HistogramMetricFamily,
        }
        for family in families(self._arenas):
            all_labels = [labels for labels, _ in family.samples + family.distributions]
            names = list(all_labels[0]) if all_labels else []
            found = kinds[family.kind](family.name, family.help, labels=names)
            for labels, number in family.samples:
                found.add_metric([labels[name] for name in names], number)
            for labels, one in family.distributions:
                values = [labels[name] for name in names]
                found.add_metric(values, buckets=one.buckets, sum_value=one.sum)
            yield found
