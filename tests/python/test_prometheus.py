# SPDX-License-Identifier: MIT
"""Metrics of an arena: the same for each process that asks."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensoring as tr
from tensoring import prometheus
from tensoring._servers import metrics
from tensoring._servers.metrics import families

PAGES = Path(__file__).parents[2] / "docs"

SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}


def samples(text: str) -> dict[str, float]:
    """Of OpenMetrics text, read by the rules of its specification."""
    assert text.endswith("\n# EOF\n")
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in text.splitlines()[:-1]:
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r"([a-z_]+)(\{.*\})? (\S+)", line)
            assert match is not None, line
            family = re.sub("_(total|bucket|count|sum)$", "", match[1])
            suffix = match[1].removeprefix(family)
            assert suffix in SUFFIXES[kinds[family]], line
            assert f"{match[1]}{match[2] or ''}" not in found
            found[f"{match[1]}{match[2] or ''}"] = float(match[3])
    return found


def hold(queue: tr.ArenaQueue) -> None:
    message = queue.receive_message()
    assert len(message) == 1
    os.kill(os.getpid(), signal.SIGKILL)


def fill(arena: tr.Arena) -> tr.ArenaQueue:
    queue = arena.queue("jobs", 8)
    for i in range(3):
        queue.send(np.full(4, i))
    arena.board("tables")["weights"] = np.zeros(4)
    return queue


def test_what_is_in_the_arena_is_told(arena: tr.Arena) -> None:
    queue = fill(arena)
    kept = queue.receive_message()
    found = samples(prometheus.openmetrics(arena))
    assert found['tensoring_channel_depth{channel="jobs",kind="queue"}'] == 2
    assert found['tensoring_channel_capacity{channel="jobs",kind="queue"}'] == 8
    assert found['tensoring_channel_sent_total{channel="jobs",kind="queue"}'] == 3
    assert found['tensoring_channel_receivers{channel="jobs",kind="queue"}'] == 1
    assert found['tensoring_channel_depth{channel="tables",kind="board"}'] == 1
    smallest = min(one["slot_bytes"] for one in arena.stats()["sizes"])
    for state, count in (("queued", 2), ("received", 1), ("board", 1), ("loaned", 0)):
        key = f'tensoring_slots{{slot_bytes="{smallest}",state="{state}"}}'
        assert found[key] == count
    assert found["tensoring_participants"] == 1
    assert found["tensoring_joins_total"] == 1
    kept.release()


def test_those_that_have_died_stay_counted(arena: tr.Arena) -> None:
    queue = fill(arena)
    child = multiprocessing.Process(target=hold, args=(queue,))
    child.start()
    child.join(60)
    arena.reap()
    found = samples(prometheus.openmetrics(arena))
    assert found["tensoring_deaths_total"] == 1
    assert found["tensoring_joins_total"] == 2
    assert found["tensoring_redelivered_total"] == 1
    assert found["tensoring_participants"] == 1


def test_histograms_are_told_in_seconds_and_rows(arena: tr.Arena) -> None:
    service, plain = arena.service("s"), arena.queue("plain")
    plain.send(1)
    plain.receive()
    for rows in (3, 3, 40):
        service.queue._note_batch(rows)
    service.queue.send(1)
    service.queue.receive()
    found = samples(prometheus.openmetrics(arena))
    batch = "tensoring_batch_rows"
    for bound, count in (("2.0", 0), ("4.0", 2), ("32.0", 2), ("64.0", 3), ("+Inf", 3)):
        assert found[f'{batch}_bucket{{channel="s",le="{bound}"}}'] == count
    assert found[f'{batch}_count{{channel="s"}}'] == 3
    assert found[f'{batch}_sum{{channel="s"}}'] == 46
    wait = "tensoring_channel_wait_seconds"
    assert found[f'{wait}_count{{channel="s"}}'] == 1
    assert found[f'{wait}_sum{{channel="s"}}'] == service.histogram("wait").sum
    bounds = [
        (float(name.split('"')[3]), count)
        for name, count in found.items()
        if name.startswith(f"{wait}_bucket")
    ]
    assert len(bounds) == 26
    assert bounds == sorted(bounds)  # of the bounds, and of the counts
    waited = service.histogram("wait").sum
    assert all(count == (bound >= waited) for bound, count in bounds)
    assert not any('channel="plain",le' in name for name in found)
    assert not any("service_time" in name for name in found)  # no request was served


def test_each_count_of_the_arena_has_a_metric(arena: tr.Arena) -> None:
    arena.service("s")
    stats = arena.stats()
    counters = {
        name
        for name in stats["totals"]
        if not name.startswith("slots") and name not in ("participants", "channels")
    }
    kinds = {family.name.removeprefix("tensoring_"): family for family in families(arena)}
    assert {name for name in counters if name not in kinds} == set()
    assert all(kinds[name].kind == "counter" and kinds[name].help for name in counters)
    states = set(stats["sizes"][0]) - {"slot_bytes", "slots", "waiting"}
    told = {labels["state"] for labels, _ in kinds["slots"].samples}
    assert told == states
    [one] = stats["channels"]
    assert set(one["histograms"]) == set(metrics._HISTOGRAMS)


def test_a_named_arena_is_not_joined() -> None:
    name = f"metrics-{os.getpid()}"
    with tr.Arena.create(name, [(4096, 4)]) as arena:
        found = samples(prometheus.openmetrics(name))
        assert found["tensoring_joins_total"] == 1
        assert arena.stats()["totals"]["joins"] == 1
        tr.Arena.unlink(name)
    with pytest.raises(tr.NotFoundError):
        prometheus.openmetrics(name)


def test_a_label_tells_arenas_apart(arena: tr.Arena) -> None:
    fill(arena)
    name = f"other-{os.getpid()}"
    with tr.Arena.create(name, [(4096, 4)]) as other:
        other.queue("jobs", 8)
        found = samples(prometheus.openmetrics({"first": arena, "second": name}))
        labels = 'channel="jobs",kind="queue"'
        assert found[f'tensoring_channel_depth{{arena="first",{labels}}}'] == 3
        assert found[f'tensoring_channel_depth{{arena="second",{labels}}}'] == 0
        assert found['tensoring_joins_total{arena="second"}'] == 1
        assert "tensoring_joins_total" not in found
        tr.Arena.unlink(name)


def test_of_several_arenas_those_that_are_gone_are_left_out(arena: tr.Arena) -> None:
    closed = tr.Arena()
    closed.close()
    told = {"one": arena, "gone": f"gone-{os.getpid()}", "closed": closed}
    found = samples(prometheus.openmetrics(told))
    assert 'tensoring_joins_total{arena="one"}' in found
    assert not [name for name in found if "gone" in name or "closed" in name]


@pytest.mark.parametrize(("key", "kind"), [(1, TypeError), ("\ud800", ValueError)])
def test_labels_that_cannot_be_told(arena: tr.Arena, key: Any, kind: type) -> None:
    with pytest.raises(kind, match="the label `arena`"):
        prometheus.openmetrics({key: arena})


def test_names_are_escaped(arena: tr.Arena) -> None:
    arena.queue('a"b\\c')
    text = prometheus.openmetrics(arena)
    assert r'channel="a\"b\\c"' in text


@pytest.mark.parametrize("several", [False, True])
def test_prometheus_client_reads_the_same(arena: tr.Arena, several: bool) -> None:
    client: Any = pytest.importorskip("prometheus_client")
    parser: Any = pytest.importorskip("prometheus_client.openmetrics.parser")
    exposition: Any = pytest.importorskip("prometheus_client.openmetrics.exposition")
    fill(arena)
    service = arena.service('s"')
    service.queue.send(1)
    service.queue.receive()
    service.queue._note_batch(5)
    registry = client.CollectorRegistry()
    shown = {"one": arena, "other": arena} if several else arena
    registry.register(prometheus.Collector(shown))

    def read(text: str) -> dict[Any, float]:
        return {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in parser.text_string_to_metric_families(text)
            for one in family.samples
        }

    ours = read(prometheus.openmetrics(shown))
    theirs = read(exposition.generate_latest(registry).decode())
    assert ours == theirs
    assert len(ours) > 20
    which = (("arena", "one"),) if several else ()
    labels = (*which, ("channel", 's"'), ("le", "8.0"))
    assert ours[("tensoring_batch_rows_bucket", labels)] == 1


def test_the_dashboard_shows_each_metric_by_its_name_and_labels(arena: tr.Arena) -> None:
    kinds = {family.name: family.kind for family in families(arena)}
    told = {name + "_total" * (kind == "counter") for name, kind in kinds.items()}
    board = json.loads((PAGES / "_static" / "grafana.json").read_text())
    shown: set[str] = set()
    parts = "_(bucket|count|sum)$"
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            for name in re.findall(r"tensoring_\w+", target["expr"]):
                shown.add(name if name in told else re.sub(parts, "", name))
            grouped = set(re.findall(r"by \(([^)]*)\)", target["expr"])[0].split(", "))
            wanted = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert wanted <= grouped, panel["title"]
    assert shown == told
