# SPDX-License-Identifier: MIT
"""Pages that list what the sources have list all of it, and paths in pages are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FOLDERS = "ipc|src|include|tests|bench|examples|docs|python|cmake"
PAGES = [
    *ROOT.glob("*.md"),
    ROOT / "examples/README.md",
    *(p for p in DOCS.rglob("*.md")),
]


def text_of(*globs: str) -> str:
    return "\n".join(
        path.read_text() for glob in globs for path in sorted(ROOT.glob(glob))
    )


def test_environment_variables() -> None:
    code = text_of("src/**/*.c", "ipc/**/*.c", "python/core/*.c", "python/tensoring/*.py")
    read = set(re.findall(r'"(TENSORING_[A-Z_]+|HWLOC_[A-Z_]+)"', code))
    read |= set(
        re.findall(
            r'"([A-Z]+_[A-Z_]+)"', text_of("src/workers/enter.c", "src/cli/doctor_cpus.c")
        )
    )
    told = set(re.findall(r"`([A-Z]+_[A-Z_]+)", text_of("docs/reference/environment.md")))
    assert read <= told, f"docs/reference/environment.md lacks {read - told}"


def test_each_header_has_a_page() -> None:
    headers = {path.stem for path in (ROOT / "include/tensoring").glob("*.h")} - {
        "tensoring"
    }
    assert headers == {path.stem for path in (DOCS / "reference/c").glob("*.md")} - {
        "index"
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_files(page: Path) -> None:
    """As a forge shows the page, without a build: files, and headings where named."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} is not there"
        if anchor and there.suffix == ".md":
            assert anchor in headings(there), f"{target}: no such heading"


def headings(page: Path) -> set[str]:
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in found}


def test_headings_that_errors_name_are_there() -> None:
    """A row cannot link: it names a heading and its page."""
    pages = {page.read_text().split("\n", 1)[0]: page for page in PAGES}
    named = re.findall(
        r'see "([^"]+)" in ([A-Z][\w ]*\w)',
        (DOCS / "reference/errors.md").read_text(),
        re.I,
    )
    assert len(named) >= 2
    for heading, title in named:
        lines = pages[f"# {title}"].read_text().split("\n")
        assert f"## {heading}" in lines, f"{title} has no heading {heading}"


def test_the_glossary_has_the_words_of_contributing() -> None:
    words = re.split(r"^## ", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M)
    words = next(part for part in words if part.startswith("Words\n"))
    named = set(re.findall(r"\*(\w+)\*", words))
    assert len(named) > 8
    glossary = (DOCS / "glossary.md").read_text()
    states = {"loaned", "queued", "received", "shared"}  # of a slot, see the design
    for word in named - states:
        assert re.search(rf"^\| {word} \|", glossary, re.M), f"glossary.md lacks {word}"


def folders() -> Iterator[Path]:
    """Those that have sources or pages of their own."""
    for top in ("ipc", "src", "include", "python", "bench", "tests", "docs", "examples"):
        for path in sorted(ROOT.glob(f"{top}/**/")):
            kinds = {one.suffix for one in path.iterdir() if one.is_file()}
            if kinds & {".c", ".h", ".py", ".sh", ".md"} and "build" not in path.parts:
                yield path.relative_to(ROOT)


def test_contributing_says_what_each_folder_is_for() -> None:
    said = (ROOT / "CONTRIBUTING.md").read_text()
    found = list(folders())
    assert len(found) > 40
    for path in found:
        named = rf"`(?:[\w./]*/)?{re.escape(path.name)}(?:/[\w./]*)?`"
        assert re.search(named, said), f'"Where is what" in CONTRIBUTING.md lacks {path}'


SOURCES = [
    path
    for glob in (
        "ipc/**/*.[ch]",
        "src/**/*.[ch]",
        "include/**/*.h",
        "python/**/*.py",
        "tests/lint/*",
    )
    for path in ROOT.glob(glob)
]


def test_pages_named_in_sources_are_there() -> None:
    for path in SOURCES + PAGES:
        if path.is_file() and path.name != "CHANGELOG.md":
            for found in re.findall(r"\bdocs/[\w/.-]+\.md\b", path.read_text()):
                assert (ROOT / found).exists(), f"{path.relative_to(ROOT)} names {found}"


def test_sources_named_in_pages_are_there() -> None:
    for page in PAGES:
        if page.name == "CHANGELOG.md":
            continue
        for found in re.findall(rf"`((?:{FOLDERS})/[\w/.-]+\.\w+)`", page.read_text()):
            assert (ROOT / found).exists(), f"{page.relative_to(ROOT)} names {found}"
