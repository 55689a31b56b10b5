# SPDX-License-Identifier: MIT
"""Reference of the Python package and of the command.

``{package-reference} tensoring classes`` shows the public classes by autodoc;
``{man-page} tensoring.1`` shows a page of the manual.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from docutils import nodes
from headers import nested
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

MAN = Path(__file__).parents[1] / "man"


class Package(SphinxDirective):
    """The public classes, functions or exceptions of a package."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        name, wanted = self.arguments
        package = importlib.import_module(name)
        lines: list[str] = []
        for public in package.__all__:
            if kind_of(found := getattr(package, public)) == wanted:
                lines.append(f".. auto{SHOWN[wanted]}:: {name}.{public}")
                if isinstance(found, type) and public_bases(found):
                    lines.append("   :show-inheritance:")
                if wanted == "classes":
                    lines += [
                        "   :members:",
                        f"   :inherited-members: {', '.join(PLAIN)}",
                    ]
                lines.append("")
        return nested(self, lines, name)


SHOWN = {"classes": "class", "functions": "function", "exceptions": "exception"}
PLAIN = ("object", "tuple", "list", "dict", "Generic")


def kind_of(found: object) -> str:
    if isinstance(found, type):
        return "exceptions" if issubclass(found, (Exception, Warning)) else "classes"
    return "functions" if callable(found) else ""


def public_bases(kind: type) -> list[type]:
    return [
        one for one in kind.__bases__ if one is not object and "._" not in one.__module__
    ]


def without_private(
    app: object, name: str, kind: type, options: object, bases: list[type]
) -> None:
    bases[:] = public_bases(kind)


def octal_modes(
    app: object,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Permissions are read in octal: 0o600, not 384."""
    octal = re.compile(r"(?<=\bmode: int = )\d+")
    shown = signature and octal.sub(lambda found: oct(int(found[0])), signature)
    return shown, returns


def plain(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Docstrings are plain text: no character of theirs is markup but `code`."""
    for i, line in enumerate(lines):
        line = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line)
        parts = re.split(r"(``.*?``)", line)
        parts[::2] = [
            re.sub(r"([*|])|_(?=\W|$)", r"\\\g<0>", part) for part in parts[::2]
        ]
        lines[i] = "".join(parts)
    lines[:] = listed(lines)


OPTION = re.compile(r"(\w+(?:, \w+)*): (?=\S)")


def listed(lines: list[str]) -> list[str]:
    """Paragraphs of options, `name: what it is` on a line of its own, become lists."""
    shown: list[str] = []
    inside = False
    for i, line in enumerate(lines):
        if not line.strip():
            inside = False
        elif found := OPTION.match(line):
            inside = inside or i == 0 or not lines[i - 1].strip()
            if inside:
                line = f"* **{found[1]}**: {line[found.end() :]}"
        elif inside:
            line = "  " + line
        shown.append(line)
    return shown


FONT = re.compile(r"\\f([BIRP])")


def unescape(text: str) -> str:
    return (
        text.replace(r"\ ", " ")
        .replace(r"\-", "-")
        .replace(r"\&", "")
        .replace(r"\(aq", "'")
        .replace(r"\e", "\\")
    )


def fonts(text: str) -> str:
    """Return roff text with inline fonts as reStructuredText."""
    lines, kind = "", "R"
    for i, part in enumerate(FONT.split(text)):
        if i % 2:
            kind = part
        elif part:
            lines += span(part, kind)
    return lines


def span(text: str, font: str) -> str:
    text = unescape(text)
    inner = text.strip()
    if not inner:
        return text
    mark = {"B": "**", "I": "*"}.get(font, "")
    inner = re.sub(r"([\\*`|])|_(?=\W|$)", r"\\\g<0>", inner)
    lead, tail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return (
        f"{lead}{mark}{inner}{mark}{tail}"
        if not mark
        else f"{lead}\\ {mark}{inner}{mark}\\ {tail}"
    )


def words(text: str) -> list[str]:
    return [a or b for a, b in re.findall(r'"([^"]*)"|((?:\\ |\S)+)', text)]


def line_of(macro: str, rest: str) -> str:
    """Return one line of roff: .B x, .BR x y, or text."""
    line = marked(macro, rest)
    return re.sub(r"\\ (?= )|(?<= )\\ |^\\ |\\ $", "", line)


def marked(macro: str, rest: str) -> str:
    if macro in ("B", "I"):
        return span(rest.replace('"', ""), macro)
    if len(macro) == 2 and set(macro) <= set("BIR"):
        return "".join(
            span(word, macro[i % 2]) if "\\f" not in word else fonts(word)
            for i, word in enumerate(words(rest))
        )
    return fonts(rest)


def bare(macro: str, rest: str) -> str:
    """Return one line of roff without its fonts."""
    text = FONT.sub(lambda _: "", rest)
    return unescape("".join(words(text)) if len(macro) == 2 else text.replace('"', ""))


def manual(page: str) -> list[str]:
    """Return a page of the manual as reStructuredText."""
    out: list[str] = []
    indent, tagged, literal, synopsis, bullet = "", False, False, False, False
    for raw in (MAN / page).read_text().split("\n"):
        if raw.startswith('.\\"'):
            continue
        found = re.match(r"\.([A-Z]+|nf|fi|br) ?(.*)", raw)
        macro, rest = (found[1], found[2]) if found else ("", raw)
        if macro == "TH":
            continue
        if macro in ("SH", "SS"):
            indent, tagged, synopsis = "", False, rest == "SYNOPSIS"
            out += ["", f".. rubric:: {rest.capitalize()}", ""]
            out += [".. code-block:: text", "", "   "] if synopsis else []
        elif synopsis:
            if macro == "br":
                out.append("   ")
            else:
                out[-1] += " " * (out[-1] != "   ") + bare(macro, rest)
        elif macro == "TP":
            indent, tagged = "", True
            out.append("")
        elif macro == "IP":
            indent, bullet = "  ", True
            out.append("")
        elif macro in ("PP", "P", "RE", "RS"):
            indent = "" if macro in ("PP", "P") else indent
            out.append("")
        elif macro in ("nf", "EX"):
            literal = True
            out += ["", f"{indent}.. code-block:: text", ""]
        elif macro in ("fi", "EE"):
            literal = False
            out.append("")
        elif macro == "br":
            out += ["", ""]
        elif literal:
            out.append(f"{indent}   {unescape(FONT.sub('', rest))}")
        elif tagged:
            out.append(line_of(macro, rest))
            indent, tagged = "   ", False
        elif bullet:
            out.append("* " + line_of(macro, rest).lstrip())
            bullet = False
        elif rest or macro:
            out.append(indent + line_of(macro, rest).lstrip())
    return out


class ManPage(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(MAN / self.arguments[0]))
        return nested(self, manual(self.arguments[0]), self.arguments[0])


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("package-reference", Package)
    app.add_directive("man-page", ManPage)
    app.connect("autodoc-process-docstring", plain)
    app.connect("autodoc-process-bases", without_private)
    app.connect("autodoc-process-signature", octal_modes)
    return {"parallel_read_safe": True}
