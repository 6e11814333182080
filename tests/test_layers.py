"""The rooms and who may see whom, as ARCHITECTURE.md has it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "supernet": set(),
    "export": set(),
    "jobs": set(),
    "latency_tables": {"supernet"},
    "profiler": {"supernet", "latency_tables", "export"},
    "training": {"supernet"},
    "bundle": {"supernet", "latency_tables", "export", "profiler", "training"},
    "search": {"supernet", "latency_tables"},
}
ROOMS = {*MAY_IMPORT, "service"}


def imported_rooms(path: Path) -> set[str]:
    """First parts of every module a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found & ROOMS


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert len(files) > 1
    for path in files:
        wrong = imported_rooms(path) - MAY_IMPORT[room] - {room}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


@pytest.mark.parametrize(
    "modules",
    [
        "service.cli, service.pricing, service.table_view, latency_tables.predict",
        "search.loop, search.pareto, search.searchers.evolution, supernet.space",
        "service.instance, service.submission, service.worker, jobs.views, jobs.control",
    ],
)
def test_tables_search_and_command_line_start_without_torch(modules: str) -> None:
    code = f"import {modules}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_package_init_files_are_one_docstring() -> None:
    for room in sorted(ROOMS):
        for path in (ROOT / room).rglob("__init__.py"):
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1, path
            assert isinstance(body[0], ast.Expr), path


def test_files_and_functions_stay_small() -> None:
    lengths = []
    for room in sorted(ROOMS):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            lengths.append(len(text.splitlines()))
            assert lengths[-1] <= 400, path
    assert sorted(lengths)[len(lengths) // 2] <= 150
