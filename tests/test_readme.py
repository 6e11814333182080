"""The README is true: its file tree is complete, its verbs exist, its presets are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = (
    "supernet", "latency_tables", "profiler", "training", "search", "export", "bundle", "jobs",
    "service",
)  # fmt: skip
VERBS = sorted(set(re.findall(r"^\| `stairprune ([a-z]+(?: [a-z]+)?)", README, re.MULTILINE)))


@pytest.mark.parametrize("room", ROOMS)
def test_the_tree_lists_every_file_of_a_room(room: str) -> None:
    tree = README.split(f"\n{room}/\n", 1)[1].split("\n```", 1)[0]
    listed = set(re.findall(r"^  (\S+\.py)", re.split(r"\n\S", tree, maxsplit=1)[0], re.MULTILINE))
    files = {str(path.relative_to(ROOT / room)) for path in (ROOT / room).rglob("*.py")}
    assert listed == {name for name in files if not name.endswith("__init__.py")}


def test_there_are_verbs_to_check() -> None:
    assert {"run", "price", "profile", "table show", "supernet train"} <= set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_of_the_readme_exists(verb: str) -> None:
    assert CliRunner().invoke(app, [*verb.split(), "--help"]).exit_code == 0


def test_every_preset_of_the_readme_exists() -> None:
    presets = re.findall(r"`(configs/[\w.-]+\.yaml)`", README)
    assert len(set(presets)) >= 4
    for preset in presets:
        assert (ROOT / preset).exists()


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
