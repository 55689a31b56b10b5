# SPDX-License-Identifier: MIT
"""The folders of the package stand on one another in one order, without a circle."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import tensoring as tr

PACKAGE = Path(tr.__file__).parent
# A folder imports itself and those before it; "" is the root, except what is at the end.
ORDER = [
    *("", "_serial", "_arena", "_workers", "_standin", "_pool", "_servers"),
    *("serializers", "all", "servers"),
]
LAST = {
    "tensoring.serializers": "serializers",
    "tensoring": "all",
    "tensoring.__main__": "servers",
    "tensoring.asgi": "servers",
    "tensoring.gunicorn": "servers",
    "tensoring.prometheus": "servers",
    "tensoring.proxystore": "servers",
    "tensoring.ray": "servers",
    "tensoring.sagemaker": "servers",
}

# Each module: {what it imports: whether it needs that to be imported itself}.
Graph = dict[str, dict[str, bool]]


def modules() -> dict[str, Path]:
    found = {}
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(node: ast.AST, at_once: bool = True) -> Iterator[tuple[str, str, bool]]:
    """(module, name in it, whether at once) of each import in a module, those too that
    are for annotations alone, or wait for a call."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((one.name, "", at_once) for one in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from ((child.module or "", one.name, at_once) for one in child.names)
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        )
        yield from imports(child, at_once and not later)


def graph() -> Graph:
    known = modules()
    found: Graph = {name: {} for name in known}
    for name, path in known.items():
        for module, item, at_once in imports(ast.parse(path.read_text())):
            whole = f"{module}.{item}"
            target = whole if whole in known else module
            if target in known and target != name:
                found[name][target] = found[name].get(target, False) or at_once
    return found


def folder(module: str) -> str:
    parts = module.split(".")
    return LAST.get(module) or (parts[1] if len(parts) > 2 or is_folder(parts) else "")


def is_folder(parts: list[str]) -> bool:
    return len(parts) == 2 and (PACKAGE / parts[1]).is_dir()


def test_folders_import_those_before_them() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, targets in graph().items()
        for target in targets
        if ORDER.index(folder(target)) > ORDER.index(folder(name))
    ]
    assert not wrong, f"the order is {ORDER}"


def test_no_circle() -> None:
    needs = {
        name: [target for target, at_once in targets.items() if at_once]
        for name, targets in graph().items()
    }
    graphlib.TopologicalSorter(needs).prepare()  # CycleError names the circle


def test_the_graph_is_there() -> None:
    found = graph()
    assert len(found) > 40
    assert found["tensoring._arena.arena"]["tensoring._arena.queue"]
    assert not found["tensoring._arena.queue"]["tensoring._arena.arena"]  # for types
    assert {folder(name) for name in found} == set(ORDER)
