# SPDX-License-Identifier: MIT
"""Reference of the C interface, read from the headers themselves.

``{c-header} queue.h`` shows a public header: its introduction, and each declaration with
the comment before it. ``{error-table}`` and ``{counter-table}`` show the X-macros
TR_ERRORS and TR_COUNTERS. c_headers.py takes the headers apart.
"""

from __future__ import annotations

import re
import textwrap

import c_headers
from c_headers import INCLUDE, Declaration, x_rows
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def inline(text: str) -> str:
    """Return text as reStructuredText: names of calls and constants are code or links."""
    text = re.sub(r"([\\*|])", r"\\\1", text)
    text = re.sub(r"`([^`]*)`", r"``\1``", text)
    text = re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", text)
    text = re.sub(r"@p (\w+)", r"``\1``", text)
    text = re.sub(r"(?<![\w`])(tr_\w+)\(\)", r":c:func:`\1`", text)
    return re.sub(
        r"(?<![\w`])((?:TR|SCM|IORING)_[A-Z0-9_]+(?:\(\))?)(?![\w`])", r"``\1``", text
    )


def paragraphs(text: str) -> list[str]:
    """Return comment text as reStructuredText; what is indented stays as it is."""
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        if not block.strip():
            continue
        if c_headers.is_literal(block):
            lines += [".. code-block:: text", ""]
            lines += ["   " + line for line in textwrap.dedent(block).split("\n")]
        elif re.search(r"^( {2,}\S+.* {2,}|- | *\d\. )", block, re.M):
            lines += ["| " + inline(line.strip()) for line in block.split("\n")]
        else:
            lines.append(inline(" ".join(block.split())))
        lines.append("")
    return lines


def body(comment: str) -> list[str]:
    """Return a declaration's comment: text, parameters, result, words of the contract."""
    parts = c_headers.contract(comment)
    lines = paragraphs(parts.text)
    lines += [f":param {name}: {inline(text)}" for name, text in parts.parameters]
    if parts.returns:
        lines.append(f":returns: {inline(parts.returns)}")
    lines += [f":{word}: {inline(text)}" for word, text in parts.words]
    return [*lines, ""]


def code_block(code: str, indent: str = "   ") -> list[str]:
    lines = [".. code-block:: c", ""]
    return [
        indent + line for line in [*lines, *("   " + x for x in code.split("\n")), ""]
    ]


def declare(one: Declaration) -> list[str]:
    if one.kind == "constants":
        return paragraphs(c_headers.clean(one.comment)) + code_block(one.code or "", "")
    head = f".. c:{one.kind}:: "
    lines = [head + one.names[0]]
    lines += [" " * len(head) + name for name in one.names[1:]]
    lines += ["", *("   " + line for line in body(one.comment))]
    return lines + (code_block(one.code) if one.code else []) + [""]


def header(name: str) -> list[str]:
    """Return the header as reStructuredText."""
    lines = [f"``#include <tensoring/{name}>``", ""]
    if intro := c_headers.introduction(name):
        lines += paragraphs(intro[0].upper() + intro[1:])
    for one in c_headers.declarations(name):
        lines += declare(one)
    return lines


def nested(directive: SphinxDirective, lines: list[str], source: str) -> list[nodes.Node]:
    """Parse reStructuredText from within a page of Markdown."""
    node = nodes.container()
    lines = ["````{eval-rst}", *lines, "````"]
    directive.state.nested_parse(StringList(lines, source=source), 0, node)
    return node.children


class Header(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        self.env.note_dependency(str(INCLUDE / name))
        return nested(self, header(name), name)


def table(rows: list[list[str]], widths: list[int]) -> list[str]:
    lines = [
        ".. list-table::",
        "   :class: rows",
        "   :header-rows: 1",
        f"   :widths: {' '.join(map(str, widths))}",
        "",
    ]
    for row in rows:
        for i, cell in enumerate(row):
            lines.append(f"   {'* -' if i == 0 else '  -'} {cell}")
    return [*lines, ""]


class Errors(SphinxDirective):
    """A row for each code: name, number, sentence, exception, cause and way out."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        help_of = dict(
            line.split(": ", 1)
            for line in "\n".join(self.content).split("\n")
            if line.strip()
        )
        self.env.note_dependency(str(INCLUDE / "error.h"))
        codes = x_rows("error.h", "TR_ERRORS")
        names = {name for name, _, _ in codes}
        if unknown := set(help_of) ^ names:
            raise self.error(f"causes that TR_ERRORS lacks, or the reverse: {unknown}")
        rows = [
            ["code", "errno or number", "says", "Python", "usual cause, and the way out"]
        ]
        for name, value, text in codes:
            raised = python_name(name)
            rows.append(
                [
                    f"``TR_E{name}``",
                    value[1:] if value[1].isalpha() else value,
                    text,
                    raised,
                    inline(help_of[name]),
                ]
            )
        return nested(self, table(rows, [14, 13, 23, 14, 36]), "error.h")


def python_name(name: str) -> str:
    """Return the exceptions that the package raises for TR_E<name>."""
    from tensoring import _errors

    usual = {"AGAIN": "``Empty``, ``Full``", "INTR": "the signal handler's"}
    found = _errors._CLASSES.get(f"TR_E{name}", _errors.Error).__name__
    return usual.get(name, f"``{found}``")


class Counters(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(INCLUDE / "stats.h"))
        rows = [["counter", "counts"]]
        rows += [
            [f"``{name}``", text] for name, _, text in x_rows("stats.h", "TR_COUNTERS")
        ]
        return nested(self, table(rows, [20, 80]), "stats.h")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("c-header", Header)
    app.add_directive("error-table", Errors)
    app.add_directive("counter-table", Counters)
    return {"parallel_read_safe": True}
