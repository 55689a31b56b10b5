# SPDX-License-Identifier: MIT
"""Reference of the C interface, read from the headers themselves.

``{c-header} queue.h`` shows a public header: its introduction, and each declaration with
the comment before it. ``{error-table}`` and ``{counter-table}`` show the X-macros
TR_ERRORS and TR_COUNTERS. The headers follow one form (tests/lint/contract.sh), so no C
parser is needed; what does not fit the form fails the build.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

INCLUDE = Path(__file__).parents[2] / "include" / "tensoring"
COMMENT = re.compile(r"/\*(?P<doc>\*?)(?P<text>.*?)\*/", re.S)
WORDS = "Owner|Threads|Progress|Syscalls|Crash"
SKIPPED = re.compile(
    r"#(ifndef TENSORING|define TENSORING|include|endif|ifdef|else)|TR_(BEGIN|END)_DECLS|"
    r"#define TR_(API|CHECK|ASSERT_SIZE|BEGIN_DECLS|END_DECLS)\b|"
    r"/\* clang-format"
)


def clean(comment: str) -> str:
    """Return the text of a comment without its stars."""
    lines = [re.sub(r"^\s*\* ?", "", line) for line in comment.strip().split("\n")]
    return textwrap.dedent("\n".join([lines[0].strip(), *lines[1:]])).strip()


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
        if all(line.startswith("  ") for line in block.split("\n")):
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
    text = re.sub(
        rf"(?<=[.;)-])\s+(?=(?:{WORDS})(?:, (?:{WORDS}))*:)", "\n", clean(comment)
    )
    parts = re.split(
        rf"^\s*(?=@param|@return|(?:{WORDS})(?:, (?:{WORDS}))*:)", text, flags=re.M
    )
    lines = paragraphs(parts[0])
    for part in filter(str.strip, parts[1:]):
        words = " ".join(part.split())
        if found := re.match(r"@param (\S+) (.*)", words):
            lines.append(f":param {found[1]}: {inline(found[2])}")
        elif words.startswith("@return"):
            lines.append(f":returns: {inline(words[8:])}")
        else:
            word, _, rest = words.partition(":")
            lines.append(f":{word}: {inline(rest.strip())}")
    return [*lines, ""]


def signature(code: str) -> str:
    """Return a function's declaration on one line, without attributes."""
    code = re.sub(r"\b(TR_API|TR_CHECK)\b", "", code)
    code = re.sub(r"__attribute__\(\(.*?\)\)(?=[ ;])", "", code, flags=re.S)
    return " ".join(code.split()).rstrip(";").replace(" []", "[]")


def code_block(code: str, indent: str = "   ") -> list[str]:
    lines = [".. code-block:: c", ""]
    return [
        indent + line for line in [*lines, *("   " + x for x in code.split("\n")), ""]
    ]


def declare(kind: str, names: list[str], comment: str, code: str | None) -> list[str]:
    head = f".. c:{kind}:: "
    lines = [head + names[0]] + [" " * len(head) + name for name in names[1:]]
    lines += ["", *("   " + line for line in body(comment))]
    return lines + (code_block(code) if code else []) + [""]


def statements(code: str) -> list[str]:
    """Return the declarations in the lines that follow one comment."""
    found: list[str] = []
    depth, current = 0, ""
    for line in code.split("\n"):
        bare = COMMENT.sub("", line)
        depth += bare.count("{") - bare.count("}")
        current += line + "\n"
        macro = current.lstrip().startswith("#")
        closed = (
            not bare.rstrip().endswith("\\") if macro else bare.rstrip().endswith(";")
        )
        if current.lstrip().startswith("/*"):
            closed = "*/" in current
        if depth <= 0 and (closed or not current.strip()):
            if current.strip():
                found.append(current.rstrip())
            current, depth = "", 0
    if current.strip():
        found.append(current.rstrip())
    return found


def render(comment: str, code: str, name: str) -> list[str]:
    """Return what one comment and the declarations after it show."""
    functions = [s for s in statements(code) if "TR_API" in s]
    others = [s for s in statements(code) if "TR_API" not in s]
    lines: list[str] = []
    if functions:
        lines += declare("function", [signature(s) for s in functions], comment, None)
        comment = ""
    for text in others:
        code = COMMENT.sub(" ", text)
        if text.startswith("TR_ASSERT") or not code.strip():
            continue
        if found := re.match(r"#define (\w+(?:\([^)]*\))?)", code):
            own = COMMENT.search(text) if "\\\n" not in text else None
            about = comment or (own["text"].lstrip("*<") if own else "")
            long = text if "\\\n" in text or len(code) > len(found[0]) + 1 else None
            lines += declare(
                "macro", [found[1]], about, long and COMMENT.sub("", long).rstrip()
            )
        elif found := re.match(r"typedef (struct|enum|union) (\w+)\s*\{", code):
            lines += declare(found[1], [found[2]], comment, text)
        elif found := re.match(r"typedef struct (\w+) \1;", code):
            own = COMMENT.search(text)
            about = comment or (own["text"].lstrip("*<") if own else "")
            lines += declare("type", [found[1]], about, None)
        elif code.startswith("typedef "):
            lines += declare(
                "type", [" ".join(code.split())[8:].rstrip(";")], comment, None
            )
        elif re.match(r"enum\s*\{", code):
            lines += paragraphs(clean(comment)) + code_block(text, "")
        elif re.match(r"struct \w+;|#undef", code):
            continue
        else:
            raise ValueError(f"{name}: cannot show: {text}")
        comment = ""
    return lines


def header(name: str) -> list[str]:
    """Return the header as reStructuredText."""
    text = (INCLUDE / name).read_text()
    found = re.match(r"/\* SPDX.*?\*/\n(?:/\*(.*?)\*/\n)?", text, re.S)
    assert found is not None, name
    lines = [f"``#include <tensoring/{name}>``", ""]
    if found[1]:
        intro = re.sub(rf"^{re.escape(name)} - ", "", clean(found[1]))
        lines += paragraphs(intro[0].upper() + intro[1:])
    code = re.sub(
        r"#ifdef __cplusplus\n(.*?)(?=#else|#endif)",
        lambda branch: "".join(re.findall(r"/\*\*.*?\*/\n", branch[1], re.S)),
        text[found.end() :],
        flags=re.S,
    )
    kept = [line for line in code.split("\n") if not SKIPPED.match(line.strip())]
    comment, code = "", ""
    rest = "\n".join(kept)
    for chunk in re.split(r"(?<=\n)\n+|(?<=[;}\d)])\n(?=/\*\*(?!<))", rest):
        chunk = chunk.strip("\n")
        while found := re.match(r"\s*/\*\*(?!<)(.*?)\*/\n?", chunk, re.S):
            comment, chunk = found[1], chunk[found.end() :]
        code += chunk + "\n"
        if not chunk.strip():
            continue
        opened = COMMENT.sub("", code)
        if opened.count("{") > opened.count("}"):  # a blank line inside of a struct
            continue
        lines += render(comment, code.strip("\n"), name)
        comment, code = "", ""
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
        "   :header-rows: 1",
        f"   :widths: {' '.join(map(str, widths))}",
        "",
    ]
    for row in rows:
        for i, cell in enumerate(row):
            lines.append(f"   {'* -' if i == 0 else '  -'} {cell}")
    return [*lines, ""]


def x_rows(name: str, macro: str) -> list[tuple[str, ...]]:
    text = (INCLUDE / name).read_text()
    listed = re.search(rf"#define {macro}\(X\).*?[^\\]\n", text, re.S)
    assert listed is not None, macro
    return re.findall(r'X\((\w+), (?:(-\w+), )?"(.*?)"\)', listed[0])


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
