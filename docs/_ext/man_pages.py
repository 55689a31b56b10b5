#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Section 3 of the manual, from the headers: man_pages.py FOLDER [--date YYYY-MM-DD].

A page for each function, for each header (tensoring_queue.3) and for all (tensoring.3).
Functions that share a comment share a page. CMake calls this; it needs only Python.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from pathlib import Path

import c_headers
from c_headers import INCLUDE, Declaration

VERSION = ".".join(
    re.findall(
        r"^#define TR_VERSION_\w+ +(\d+)", (INCLUDE / "version.h").read_text(), re.M
    )
)
SENTENCES = {
    f"TR_E{name}": text for name, _, text in c_headers.x_rows("error.h", "TR_ERRORS")
}
LINK = "-ltensoring"


def escaped(text: str) -> str:
    """Return text so that roff shows it as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def prose(text: str) -> str:
    """Return one paragraph: parameters, calls and constants are set apart."""
    text = re.sub(r"(?<=\w)-(?=\w)", "\0", text)  # a hyphen, not a minus
    text = escaped(text).replace("\0", "-")
    text = re.sub(r"`([^`]*)`", r"\\fB\1\\fP", text)
    text = re.sub(r"@p (\w+)", r"\\fI\1\\fP", text)
    text = re.sub(r"(?<![\w\\])(tr_\w+)\(\)", r"\\fB\\%\1\\fP(3)", text)
    return re.sub(r"(?<![\w\\])((?:TR|SCM|IORING)_[A-Z0-9_]+)\b", r"\\fB\\%\1\\fP", text)


def literal(text: str) -> list[str]:
    """Return lines that stay as they are."""
    lines = escaped(textwrap.dedent(text).expandtabs()).split("\n")
    return [".PP", ".nf", ".RS 4", *(line or "\\&" for line in lines), ".RE", ".fi"]


def paragraphs(text: str) -> list[str]:
    """Return comment text; what is indented, and lists, keep their lines."""
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if not block.strip():
            continue
        if c_headers.is_literal(block) or re.search(
            r"^( {2,}\S+.* {2,}|- | *\d\. )", block, re.M
        ):
            lines += literal(block)
        else:
            lines += [".PP", prose(" ".join(block.split()))]
    return lines


def items(rows: list[tuple[str, str]], font: str) -> list[str]:
    lines: list[str] = []
    for name, text in rows:
        lines += [".TP", f".{font} {escaped(name)}", prose(text)]
    return lines


def section(name: str, lines: list[str]) -> list[str]:
    while lines and lines[0] == ".PP":
        lines = lines[1:]
    return [f".SH {name}", *lines] if lines else []


def first_sentence(text: str) -> str:
    """Return what a page's NAME line says of it."""
    text = " ".join(text.split())
    for end in ("[.]", "[.:;]", "[.:;,]"):
        found = re.match(rf"(.+?)(?:{end}(?=\s|$)|$)", text)
        assert found is not None, text
        said = re.sub(r"@p (\w+)|`([^`]*)`", r"\1\2", found[1])
        if len(said) <= 75:
            break
    return said if re.match(r"\w*[A-Z]\w*[A-Z]|TR_", said) else said[0].lower() + said[1:]


def page(name: str, about: str, date: str, parts: list[list[str]]) -> str:
    lines = [
        '.\\" SPDX-License-Identifier: MIT',
        '.\\" Made from the headers by docs/_ext/man_pages.py: do not edit.',
        f'.TH {name.upper()} 3 {date} "tensoring {VERSION}" "C interface"',
        *section("NAME", [f"{name} \\- {escaped(about)}"]),
        *(line for part in parts for line in part),
    ]
    return "\n".join(lines) + "\n"


def called(signature: str) -> str:
    """Return the name of the function in a declaration."""
    found = re.search(r"(\w+)\(", signature)
    assert found is not None, signature
    return found[1]


def synopsis(header: str, signatures: list[str]) -> list[str]:
    lines = [".nf", f".B #include <tensoring/{header}>", ".PP"]
    for one in signatures:
        wrapped = textwrap.wrap(
            one + ";",
            76,
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += [f"\\fB{escaped(line)}\\fP" for line in wrapped]
    gap = [".PP"] if signatures else []
    return section("SYNOPSIS", [*lines, *gap, f"Link with {escaped(LINK)}.", ".fi"])


def errors(returns: str) -> list[str]:
    codes = dict.fromkeys(re.findall(r"(?<!but )\bTR_E[A-Z0-9]+\b", returns))
    return items([(code, SENTENCES[code]) for code in codes if code in SENTENCES], "B")


def contract(words: list[tuple[str, str]]) -> list[str]:
    if not words:
        return []
    return [*items(words, "B"), ".PP", "\\fBtensoring_base\\fP(3) explains these words."]


def see_also(names: list[str], comment: str, header: str) -> list[str]:
    """Return links to the calls that the comment names, and to the header's page."""
    stem = header.removesuffix(".h")
    calls = dict.fromkeys(re.findall(r"\btr_[a-z0-9_]+(?=\(\))", comment))
    others = [one for one in calls if one not in names]
    links = [*sorted(others), "tensoring", f"tensoring_{stem}"]
    return [f".BR {one} (3){',' if one != links[-1] else ''}" for one in links]


def function_page(one: Declaration, header: str, date: str) -> dict[str, str]:
    """Return the page of a function, also under the names that share its comment."""
    names = [called(signature) for signature in one.names]
    parts = c_headers.contract(one.comment)
    assert parts.text.strip(), f"{names[0]} is not described"
    made = page(
        ", ".join(names),
        first_sentence(parts.text),
        date,
        [
            synopsis(header, one.names),
            section("DESCRIPTION", paragraphs(parts.text)),
            section("PARAMETERS", items(parts.parameters, "I")),
            section("RETURN VALUE", paragraphs(parts.returns)),
            section("ERRORS", errors(parts.returns)),
            section("CONTRACT", contract(parts.words)),
            section("SEE ALSO", see_also(names, one.comment, header)),
        ],
    ).replace(f".TH {', '.join(names).upper()} ", f".TH {names[0].upper()} ")
    return dict.fromkeys(names, made)


def described(one: Declaration) -> list[str]:
    """Return a type or constant for the page of its header."""
    about = paragraphs(c_headers.clean(one.comment)) if one.comment else []
    if one.kind != "constants":
        name = (
            one.names[0]
            if one.kind in ("macro", "type")
            else f"{one.kind} {one.names[0]}"
        )
        about = [
            f'.SS "{escaped(name)}"',
            *(about[1:] if about[:1] == [".PP"] else about),
        ]
    code = literal(one.code) if one.code else []
    return about + (code if len(about) != 1 else code[1:])  # no space below a heading


def listed(functions: list[Declaration]) -> list[str]:
    """Return a line for each function of a header."""
    lines: list[str] = []
    for one in functions:
        about = first_sentence(c_headers.contract(one.comment).text)
        names = [called(signature) for signature in one.names]
        heads = [f".BR {name} (3)" for name in names]
        lines += [".TP", heads[0], *(x for head in heads[1:] for x in (".TQ", head))]
        lines.append(escaped(about))
    return lines


def header_page(header: str, date: str) -> tuple[str, list[Declaration]]:
    found = list(c_headers.declarations(header))
    functions = [one for one in found if one.kind == "function"]
    others = [one for one in found if one.kind != "function"]
    intro = c_headers.introduction(header)
    about, _, rest = intro.partition("\n\n")
    if len(" ".join(about.split())) > 120:
        rest = intro
    made = page(
        f"tensoring_{header.removesuffix('.h')}",
        first_sentence(about),
        date,
        [
            section("SYNOPSIS", [f".B #include <tensoring/{header}>"]),
            section("DESCRIPTION", paragraphs(rest)),
            section("FUNCTIONS", listed(functions)),
            section("TYPES AND CONSTANTS", [x for one in others for x in described(one)]),
            section("SEE ALSO", [".BR tensoring (3)"]),
        ],
    )
    return made, functions


def overview(headers: list[str], date: str) -> str:
    rows: list[str] = []
    for header in headers:
        intro = first_sentence(c_headers.introduction(header))
        rows += [".TP", f".BR tensoring_{header.removesuffix('.h')} (3)", escaped(intro)]
    return page(
        "tensoring",
        "exchange tensors between processes through shared memory",
        date,
        [
            synopsis("tensoring.h", []),
            section("DESCRIPTION", ["Each header has a page:", *rows]),
            section("SEE ALSO", [".BR tensoring (1)"]),
        ],
    )


def pages(date: str) -> dict[str, str]:
    """Return every page by its name."""
    headers = sorted(p.name for p in INCLUDE.glob("*.h") if p.name != "tensoring.h")
    made = {"tensoring": overview(headers, date)}
    for header in headers:
        text, functions = header_page(header, date)
        made[f"tensoring_{header.removesuffix('.h')}"] = text
        for one in functions:
            made |= function_page(one, header, date)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--date", default="2026-11-27")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for old in arguments.folder.glob("*.3"):
        old.unlink()
    for name, text in pages(arguments.date).items():
        (arguments.folder / f"{name}.3").write_text(text)


if __name__ == "__main__":
    main()
