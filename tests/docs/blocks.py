# SPDX-License-Identifier: MIT
"""The code blocks of a page, as programs.

A fence says what a block is. A comment before it, which readers don't
see, says how it is run:

    <!-- hidden: python     more code for the page's program; likewise sh
    ...
    -->
    <!-- hidden: c          the program of the C blocks that follow, each where @@ is
    ...
    -->
    <!-- not run: REASON -->  the next block is not run

All Python blocks of a page are one program, in order, each line with the number that it
has in the page; so are its sh blocks. Each C block is a program of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN = ("python", "c", "sh")
FENCE = re.compile(r"^( *)(`{3,})(\S*)")
HIDDEN = re.compile(r"<!-- hidden: (python|c|sh)\n(.*?)-->", re.S)
SKIP = re.compile(r"<!-- not run: (.+?) -->")


@dataclass
class Block:
    page: Path
    line: int  # of the first line of code
    language: str
    code: str
    hidden: bool = False
    skipped: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    return [
        ROOT / "README.md",
        *(
            ROOT / f"docs/{name}.md"
            for name in (
                *("index", "tutorial", "install", "troubleshooting"),
                "reference/python",
            )
        ),
        *sorted((ROOT / "docs/how-to").glob("*.md")),
    ]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, the hidden ones too, in order."""
    text = page.read_text()
    found = [
        Block(
            page, text.count("\n", 0, match.start(2)) + 1, match[1], match[2], hidden=True
        )
        for match in HIDDEN.finditer(text)
    ]
    lines = text.split("\n")
    i, skipped = 0, ""
    while i < len(lines):
        if said := SKIP.match(lines[i].strip()):
            skipped = said[1]
        elif fence := FENCE.match(lines[i]):
            end = i + 1
            while end < len(lines) and lines[end].strip() != fence[2]:
                end += 1
            code = "\n".join(line.removeprefix(fence[1]) for line in lines[i + 1 : end])
            found.append(Block(page, i + 2, fence[3], code, skipped=skipped))
            i, skipped = end, ""
        elif lines[i].strip():
            skipped = ""
        i += 1
    return sorted(found, key=lambda block: block.line)


def of(page: Path, language: str) -> list[Block]:
    return [b for b in blocks(page) if b.language == language and not b.skipped]


def program(page: Path, language: str) -> str:
    """Return the page's blocks as one program; lines keep their numbers."""
    lines: list[str] = []
    for block in of(page, language):
        lines += [""] * (block.line - 1 - len(lines))
        lines += block.code.split("\n")
    return "\n".join(lines)


def c_programs(page: Path) -> list[tuple[Block, str]]:
    """Return each C block with its program; the compiler names the page's lines."""
    programs: list[tuple[Block, str]] = []
    frame = Block(page, 1, "c", "@@")
    name = page.relative_to(ROOT)
    for block in of(page, "c"):
        if block.hidden:
            frame = block
            continue
        before, _, after = frame.code.partition("@@")
        behind = frame.line + before.count("\n")
        code = f'#line {block.line} "{name}"\n{block.code}\n#line {behind} "{name}"'
        programs.append((block, f'#line {frame.line} "{name}"\n{before}{code}{after}'))
    return programs
