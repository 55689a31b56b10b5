# SPDX-License-Identifier: MIT
"""What a dashboard needs of an arena, from its own counters: any process that has the
arena reads the same, and processes that have died stay counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from tensoring._arena.arena import Arena
from tensoring._errors import NotFoundError
from tensoring._options import refuse
from tensoring.reports import ChannelStats, Counted, Sizes, Stats

Labels = Mapping[str, str]
T = TypeVar("T")


class Distribution(NamedTuple):
    """One histogram."""

    buckets: list[
        tuple[str, int]
    ]  # the largest value, and how many up to it; "+Inf" last
    sum: float


class Family(NamedTuple):
    """Samples of one name."""

    name: str
    kind: str  # "counter", "gauge" or "histogram"
    help: str
    samples: list[tuple[Labels, float]]
    distributions: list[tuple[Labels, Distribution]] = []  # noqa: RUF012 - not changed


_COUNTERS = {
    "joins": "Processes that have joined the arena.",
    "deaths": "Processes that were found dead.",
    "freed": "Slots of dead processes that were taken back.",
    "redelivered": "Messages of dead receivers that went to another one.",
    "dropped": "Messages that were given up.",
    "lagged": "Messages that subscribers have missed.",
    "evicted": "Subscribers that were evicted.",
    "corrupt": "Words or messages that were corrupted.",
    "stale_replies": "Replies that came when their request was over.",
    "timeouts": "Waits that ended by their timeout.",
    "waits": "Waits that slept in the kernel.",
    "wakes": "Wake-ups of other processes.",
    "loan_waits": "Loans that had to wait for a slot.",
}
_STATES = (
    *("free", "loaned", "queued", "received", "orphaned"),
    *("kept", "board", "pinned", "retired"),
)


def _slots(sizes: list[Sizes]) -> list[tuple[Labels, float]]:
    found: list[tuple[Labels, float]] = []
    for one in sizes:
        for state in _STATES:
            labels = {"slot_bytes": str(one["slot_bytes"]), "state": state}
            found.append((labels, one[state]))  # type: ignore[literal-required]
    return found


def _waiting(sizes: list[Sizes]) -> list[tuple[Labels, float]]:
    return [({"slot_bytes": str(one["slot_bytes"])}, one["waiting"]) for one in sizes]


def _of_channels(
    channels: list[ChannelStats], field: str, *kinds: str
) -> list[tuple[Labels, float]]:
    return [
        (
            {"channel": one["name"], "kind": one["kind"]},
            one[field],  # type: ignore[literal-required]
        )
        for one in channels
        if not kinds or one["kind"] in kinds
    ]


# Bounds of the arena's own buckets, so that what is counted up to one is exact.
_TIMES = [1 << power for power in range(10, 35)]  # ns: 1 us to 17 s
_ROWS = [1 << power for power in range(13)]
_HISTOGRAMS = {
    "wait": (
        "channel_wait_seconds",
        "How long messages waited, of queues that count: a service, histograms=True.",
    ),
    "service_time": (
        "service_time_seconds",
        "How long servers had a request.",
    ),
    "batch_size": ("batch_rows", "Rows of a batch."),
}


def _distribution(found: Counted, bounds: list[int], unit: float) -> Distribution:
    """Fewer buckets than the arena has, the same ones each time."""
    buckets: list[tuple[str, int]] = []
    below, at = 0, 0
    for bound in bounds:
        while at < len(found["buckets"]) and found["buckets"][at][0] <= bound:
            below += found["buckets"][at][1]
            at += 1
        buckets.append((repr(bound * unit), below))
    buckets.append(("+Inf", found["count"]))
    return Distribution(buckets, found["sum"] * unit)


def _histograms(channels: list[ChannelStats]) -> list[Family]:
    """Times that no request was served, and batches that nobody made, are left out."""
    found: list[Family] = []
    for kind, (name, text) in _HISTOGRAMS.items():
        bounds, unit = (_ROWS, 1.0) if kind == "batch_size" else (_TIMES, 1e-9)
        distributions: list[tuple[Labels, Distribution]] = [
            ({"channel": one["name"]}, _distribution(counted, bounds, unit))
            for one in channels
            for which, counted in one["histograms"].items()
            if which == kind and (counted["count"] or kind == "wait")
        ]
        family = Family(f"tensoring_{name}", "histogram", text, [], distributions)
        found.append(family)
    return found


Arenas = Arena | str | Mapping[str, Arena | str]


def families(arenas: Arenas) -> list[Family]:
    """The metrics of an arena that is open, or of a named one without joining it; of
    several by the value of their label `arena`. Of several, one that is gone or closed
    is left out: the others are told."""
    if not isinstance(arenas, Mapping):
        return _of_arena(arenas)
    found: dict[str, Family] = {}
    for name, arena in arenas.items():
        _check_label(name)
        for family in _if_there(arena):
            one = found.setdefault(
                family.name, family._replace(samples=[], distributions=[])
            )
            one.samples.extend(_labelled(name, family.samples))
            one.distributions.extend(_labelled(name, family.distributions))
    return list(found.values())


def _check_label(name: str) -> None:
    way = "give a str that UTF-8 can encode: the label `arena`"
    if not isinstance(name, str):
        refuse(TypeError, "a key", name, way)
    try:
        name.encode()
    except UnicodeEncodeError:
        refuse(ValueError, "a key", name, way)


def _if_there(arena: Arena | str) -> list[Family]:
    try:
        return _of_arena(arena)
    except NotFoundError:
        return []
    except ValueError:
        if isinstance(arena, Arena) and arena.closed:
            return []
        raise


def _labelled(name: str, samples: list[tuple[Labels, T]]) -> list[tuple[Labels, T]]:
    return [({"arena": name, **labels}, value) for labels, value in samples]


def _of_arena(arena: Arena | str) -> list[Family]:
    stats: Stats = Arena.look(arena) if isinstance(arena, str) else arena.stats()
    totals, channels = stats["totals"], stats["channels"]
    found = [
        Family(
            f"tensoring_{name}",
            "counter",
            text,
            [({}, totals[name])],  # type: ignore[literal-required]
        )
        for name, text in _COUNTERS.items()
    ]
    alive = sum(one["alive"] for one in stats["participants"])
    oldest = max((one["oldest_ns"] for one in stats["participants"]), default=0)

    def gauge(name: str, text: str, samples: list[tuple[Labels, float]]) -> None:
        found.append(Family(f"tensoring_{name}", "gauge", text, samples))

    gauge("participants", "Living processes that have joined the arena.", [({}, alive)])
    gauge(
        "oldest_received_seconds",
        "Age of the oldest message in hand, of channels with stamp=True.",
        [({}, oldest / 1e9)],
    )
    gauge("slots", "Slots by size and state.", _slots(stats["sizes"]))
    gauge(
        "slots_waiting",
        "1: a process may wait for a slot of this size.",
        _waiting(stats["sizes"]),
    )
    gauge(
        "channel_depth",
        "Messages that wait; of a board, keys that have a value.",
        _of_channels(channels, "depth"),
    )
    gauge(
        "channel_capacity",
        "Messages, or keys, that a channel holds at most.",
        _of_channels(channels, "capacity"),
    )
    gauge(
        "channel_receivers",
        "Living processes that receive from a queue.",
        _of_channels(channels, "receivers", "queue"),
    )
    gauge(
        "channel_behind",
        "Messages that the last blocking subscriber of a broadcast is behind.",
        _of_channels(channels, "behind", "broadcast"),
    )
    found.append(
        Family(
            "tensoring_channel_sent",
            "counter",
            "Messages sent; of a board, puts and deletes.",
            _of_channels(channels, "sent"),
        )
    )
    return found + _histograms(channels)
