# SPDX-License-Identifier: MIT
"""The arguments of `tensoring serve`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tensoring import _core
from tensoring._servers.serve import Options, serve, split

_MOST_CORES = 1 << 16
_UNITS = {"K": 10, "M": 20, "G": 30}
_ABOUT = """\
Start the processes of one or more models, then COMMAND, whose processes call the models
through the arena that tensoring.server() finds. When COMMAND ends, the models end, and
the exit code is that of COMMAND."""
_SIGNALS = """\
TERM, INT and QUIT are passed on to COMMAND, and the models stop when it has ended; the
second one kills. HUP loads new models beside the old ones, which stop afterwards. COMMAND
gets HUP, too, and USR1, USR2, TTIN and TTOU."""


def _count(text: str, most: int = 1 << 63, least: int = 1) -> int:
    if not (text.isascii() and text.isdecimal() and least <= int(text[:20]) <= most):
        to = "on" if most >= 1 << 63 else f"to {most}"
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} {to}")
    return int(text)


def _workers(text: str) -> int:
    return _count(text, _core.MAX_WORKERS)


def _participants(text: str) -> int:
    return _count(text, _core.MAX_PARTICIPANTS)


def _cores(text: str) -> int:
    return _count(text, _MOST_CORES, 0)


def _setup(text: str) -> str:
    module, _, name = text.partition(":")
    if not (module and name):
        raise argparse.ArgumentTypeError(f"{text!r} is not MODULE:FUNCTION")
    return text


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds, 0 or more"
        )
    return value


def _size(text: str) -> int:
    unit = _UNITS.get(text[-1:].upper(), 0)
    return _count(text[:-1] if unit else text) << unit


def _slots(text: str) -> list[tuple[int, int]]:
    found = []
    for one in text.split(","):
        size, colon, count = one.partition(":")
        if not colon:
            raise argparse.ArgumentTypeError(
                f"{one!r} is not SIZE:COUNT, as 64K:256 or 4M:64"
            )
        found.append((_size(size), _count(count)))
    return found


def _model(text: str) -> tuple[str, int | None]:
    module, colon, rest = text.partition(":")
    name, colon, count = rest.partition(":")
    if not (module and name) or (colon and not count):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not MODULE:CLASS or MODULE:CLASS:N"
        )
    return f"{module}:{name}", _workers(count) if count else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tensoring serve",
        usage="%(prog)s [OPTION...] MODEL... -- COMMAND [ARGUMENT...]",
        description=_ABOUT,
        epilog=_SIGNALS,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "models",
        metavar="MODEL",
        nargs="+",
        type=_model,
        help="MODULE:CLASS of a tensoring.Model, or MODULE:CLASS:N with its own number of"
        " processes",
    )
    add("-n", "--workers", type=_workers, default=1, metavar="N")
    parser._actions[-1].help = "processes of each model; default 1"
    add(
        "--slots",
        type=_slots,
        metavar="SIZE:COUNT,...",
        help="size classes of the arena, as 64K:256,4M:64; default as tensoring.Arena()",
    )
    add(
        "--participants",
        type=_participants,
        metavar="N",
        help="most processes in the arena, up to 256; default 128, and 4 for each model's"
        " process",
    )
    add("--elastic", action="store_true", help="slots have the memory that messages need")
    add("--allow-pickle", action="store_true", help="messages may hold pickles")
    add(
        "--setup",
        type=_setup,
        metavar="MODULE:FUNCTION",
        help="call it once with the arena, before the first model is loaded",
    )
    add(
        "--no-wait",
        action="store_true",
        help="start COMMAND at once, and not when the models are loaded",
    )
    add(
        "--ready-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="give up when the models are not loaded by then; default never",
    )
    add(
        "--drain",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="from the request to stop to SIGKILL, for models and for what COMMAND leaves"
        " behind; default 30",
    )
    add(
        "--backoff",
        type=_seconds,
        default=0.1,
        metavar="SECONDS",
        help="before a model that cannot be loaded starts again; each further failure in"
        " a row doubles it up to 10; a model that was loaded starts again at once, or"
        " this long after its last start; default 0.1",
    )
    add("--no-place", action="store_true", help="give models no cores and thread counts")
    add(
        "--reserve-cores",
        type=_cores,
        default=0,
        metavar="N",
        help="cores that are left to COMMAND; default 0: it shares those of the models",
    )
    add("-V", "--version", action="version", version=f"tensoring {_core.VERSION}")
    return parser


def parse(arguments: Sequence[str]) -> Options:
    """The options, or the end of the program with a sentence."""
    own, command = split(arguments)
    parser = _parser()
    given = parser.parse_args(own)
    if not command:
        parser.error("no command is given; say after -- what calls the models")
    models = [name for name, count in given.models for _ in range(count or given.workers)]
    if len(models) > _core.MAX_WORKERS:
        parser.error(
            f"{len(models)} processes of models are too many; at most {_core.MAX_WORKERS}"
        )
    wanted = min(128 + 4 * len(models), _core.MAX_PARTICIPANTS)
    participants = given.participants or wanted
    return Options(
        models=models,
        command=command,
        slots=given.slots,
        arena={
            "max_participants": participants,
            "elastic": given.elastic,
            "allow_pickle": given.allow_pickle,
        },
        setup=given.setup,
        wait=not given.no_wait,
        ready_timeout=given.ready_timeout,
        drain=given.drain,
        backoff=given.backoff,
        place=not given.no_place,
        reserve_cores=given.reserve_cores,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `tensoring-serve`."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    sys.path.insert(
        0, os.getcwd()
    )  # of the models' modules, however this one was started
    return serve(options)
