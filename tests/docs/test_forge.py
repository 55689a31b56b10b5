# SPDX-License-Identifier: MIT
"""The files that a forge reads: they parse, and agree with what tests/run does."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
YAML = [*sorted(GITHUB.rglob("*.yml")), ROOT / ".pre-commit-config.yaml"]
RUN = (ROOT / "tests/run").read_text()


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_there_is_yaml() -> None:
    assert len(YAML) >= 5


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_yaml_parses(path: Path) -> None:
    assert isinstance(load(path), dict)


def test_the_workflow_runs_each_stage() -> None:
    listed = re.search(r"^stages=\((.*)\)$", RUN, re.M)
    assert listed is not None
    stage = load(GITHUB / "workflows/ci.yml")["jobs"]["stage"]
    assert stage["strategy"]["matrix"]["stage"] == listed[1].split()


def test_the_workflow_uses_no_secret() -> None:
    text = (GITHUB / "workflows/ci.yml").read_text()
    assert "secrets." not in text
    assert load(GITHUB / "workflows/ci.yml")["permissions"] == {"contents": "read"}


def test_scripts_of_the_workflow_and_hooks_are_there() -> None:
    texts = [(GITHUB / "workflows/ci.yml").read_text(), YAML[-1].read_text()]
    for found in re.findall(r"(?:run|entry): ((?:tests|\.ci)/\S+)", "\n".join(texts)):
        assert (ROOT / found).stat().st_mode & 0o100, f"{found} is not executable"


def hooks() -> dict[str, str]:
    return {
        repo["repo"].rpartition("/")[2]: repo.get("rev", "")
        for repo in load(ROOT / ".pre-commit-config.yaml")["repos"]
    }


def test_ruff_is_the_version_of_the_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = "\n".join(project["optional-dependencies"]["test"])
    pinned = re.search(r"^ruff==(\S+)$", extra, re.M)
    assert pinned is not None
    assert hooks()["ruff-pre-commit"] == f"v{pinned[1]}"


def test_clang_format_is_the_version_of_the_lint() -> None:
    wanted = re.search(r"'version (\d+)", (ROOT / "tests/lint/format.sh").read_text())
    assert wanted is not None
    assert hooks()["mirrors-clang-format"].startswith(f"v{wanted[1]}.")


def test_the_hooks_see_the_files_that_tests_run_checks() -> None:
    checked = re.search(r"ruff check (.*)", RUN)
    assert checked is not None
    ruff = next(
        repo
        for repo in load(ROOT / ".pre-commit-config.yaml")["repos"]
        if repo["repo"].endswith("ruff-pre-commit")
    )
    for hook in ruff["hooks"]:
        for path in checked[1].split():
            file = path if path.endswith(".py") else f"{path}/some.py"
            assert re.search(hook["files"], file), f"{hook['id']} does not see {file}"


def test_owned_paths_are_there() -> None:
    for line in (GITHUB / "CODEOWNERS").read_text().splitlines():
        if line.strip() and not line.startswith(("#", "*")):
            path = line.split()[0]
            assert (ROOT / path.lstrip("/")).exists(), path


def test_editorconfig_parses() -> None:
    config = configparser.ConfigParser()
    config.read_string("[top]\n" + (ROOT / ".editorconfig").read_text())
    assert config["*"]["end_of_line"] == "lf"


def test_placeholders_are_where_contributing_says() -> None:
    said = (ROOT / "CONTRIBUTING.md").read_text()
    for path in [*YAML, ROOT / "pyproject.toml", GITHUB / "CODEOWNERS"]:
        if re.search(r"example[.-]invalid", path.read_text()):
            assert f"`{path.relative_to(ROOT)}`" in said, path


def test_each_example_is_in_the_index() -> None:
    index = (ROOT / "examples/README.md").read_text()
    for path in (ROOT / "examples").iterdir():
        if path.suffix in (".c", ".h", ".py"):
            assert f"({path.name})" in index, f"examples/README.md lacks {path.name}"
