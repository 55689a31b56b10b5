# SPDX-License-Identifier: MIT
"""The public headers, as declarations with their comments.

The headers follow one form (tests/lint/contract.sh), so no C parser is needed; what does
not fit the form is an error. The site (headers.py) and section 3 of the manual
(man_pages.py) are made from this; it needs nothing but Python.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INCLUDE = Path(__file__).parents[2] / "include" / "tensoring"
COMMENT = re.compile(r"/\*(?P<doc>\*?)(?P<text>.*?)\*/", re.S)
WORDS = "Owner|Threads|Progress|Syscalls|Crash"
SKIPPED = re.compile(
    r"#(ifndef TENSORING|define TENSORING|include|endif|ifdef|else)|TR_(BEGIN|END)_DECLS|"
    r"#define TR_(API|CHECK|ASSERT_SIZE|BEGIN_DECLS|END_DECLS)\b|"
    r"/\* clang-format"
)


@dataclass
class Declaration:
    """What one comment is about. Functions that share a comment are one declaration."""

    kind: (
        str  # function, macro, struct, enum, union, type; constants: an enum without name
    )
    names: list[str]  # of functions their whole signatures
    comment: str
    code: str | None = None  # what to show, where the name does not say it all


@dataclass
class Contract:
    """The parts of a comment."""

    text: str
    parameters: list[tuple[str, str]]
    returns: str
    words: list[tuple[str, str]]  # Owner, Threads, ... and what they say


def clean(comment: str) -> str:
    """Return the text of a comment without its stars."""
    lines = [re.sub(r"^\s*\* ?", "", line) for line in comment.strip().split("\n")]
    return textwrap.dedent("\n".join([lines[0].strip(), *lines[1:]])).strip()


def is_literal(block: str) -> bool:
    """Return whether a block of a comment stays as it is: indented, or a table."""
    return all(line.startswith(("  ", "|")) for line in block.split("\n"))


def contract(comment: str) -> Contract:
    """Return the text, the parameters, the result and the words of a comment."""
    text = re.sub(
        rf"(?<=[.;)-])\s+(?=(?:{WORDS})(?:, (?:{WORDS}))*:)", "\n", clean(comment)
    )
    parts = re.split(
        rf"^\s*(?=@param|@return|(?:{WORDS})(?:, (?:{WORDS}))*:)", text, flags=re.M
    )
    found = Contract(parts[0], [], "", [])
    for part in filter(str.strip, parts[1:]):
        words = " ".join(part.split())
        if parameter := re.match(r"@param (\S+) (.*)", words):
            found.parameters.append((parameter[1], parameter[2]))
        elif words.startswith("@return"):
            found.returns = words[8:]
        else:
            word, _, rest = words.partition(":")
            found.words.append((word, rest.strip()))
    return found


def signature(code: str) -> str:
    """Return a function's declaration on one line, without attributes."""
    code = re.sub(r"\b(TR_API|TR_CHECK)\b", "", code)
    code = re.sub(r"__attribute__\(\(.*?\)\)(?=[ ;])", "", code, flags=re.S)
    return " ".join(code.split()).rstrip(";").replace(" []", "[]")


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


def shown(code: str) -> str:
    """Return code for readers: its comments without the marks for tools."""
    return re.sub(r"/\*\*<? ", "/* ", code)


def beside(code: str) -> str:
    """Return the comment that stands on the line of a declaration."""
    own = COMMENT.search(code)
    return own["text"].lstrip("*<") if own else ""


def declared(text: str, comment: str, name: str) -> Declaration | None:
    """Return what one declaration that is not a function's shows, if anything."""
    code = COMMENT.sub(" ", text)
    if text.startswith("TR_ASSERT") or not code.strip():
        return None
    if re.match(r"struct \w+;|#undef", code):
        return None
    if found := re.match(r"#define (\w+(?:\([^)]*\))?)", code):
        about = comment or ("" if "\\\n" in text else beside(text))
        long = "\\\n" in text or len(code) > len(found[0]) + 1
        bare = COMMENT.sub("", text).rstrip()
        return Declaration("macro", [found[1]], about, bare if long else None)
    if found := re.match(r"typedef (struct|enum|union) (\w+)\s*\{", code):
        return Declaration(found[1], [found[2]], comment, shown(text))
    if found := re.match(r"typedef struct (\w+) \1;", code):
        return Declaration("type", [found[1]], comment or beside(text))
    if code.startswith("typedef "):
        return Declaration("type", [" ".join(code.split())[8:].rstrip(";")], comment)
    if re.match(r"enum\s*\{", code):
        return Declaration("constants", [], comment, shown(text))
    raise ValueError(f"{name}: cannot show: {text}")


def group(comment: str, code: str, name: str) -> Iterator[Declaration]:
    """Yield what one comment and the declarations after it show."""
    listed = statements(code)
    if functions := [s for s in listed if "TR_API" in s]:
        yield Declaration("function", [signature(s) for s in functions], comment)
        comment = ""
    for text in listed:
        if "TR_API" not in text and (found := declared(text, comment, name)):
            yield found
            comment = ""


def introduction(name: str) -> str:
    """Return what the header says of itself, "" if nothing."""
    text = (INCLUDE / name).read_text()
    found = re.match(r"/\* SPDX.*?\*/\n(?:/\*(.*?)\*/\n)?", text, re.S)
    assert found is not None, name
    return re.sub(rf"^{re.escape(name)} - ", "", clean(found[1])) if found[1] else ""


def declarations(name: str) -> Iterator[Declaration]:
    """Yield what the header declares, in order."""
    text = re.sub(r"^(/\*.*?\*/\n){1,2}", "", (INCLUDE / name).read_text(), flags=re.S)
    code = re.sub(
        r"#ifdef __cplusplus\n(.*?)(?=#else|#endif)",
        lambda branch: "".join(re.findall(r"/\*\*.*?\*/\n", branch[1], re.S)),
        text,
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
        yield from group(comment, code.strip("\n"), name)
        comment, code = "", ""


def x_rows(name: str, macro: str) -> list[tuple[str, ...]]:
    text = (INCLUDE / name).read_text()
    listed = re.search(rf"#define {macro}\(X\).*?[^\\]\n", text, re.S)
    assert listed is not None, macro
    return re.findall(r'X\((\w+), (?:(-\w+), )?"(.*?)"\)', listed[0])
