"""Before torch starts its threads: wait without spinning, as the command line does.

And files with slow tests come first, so that no worker is left alone with one at the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jobs.database import Database

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # another one has the other core
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See the module; the order within a file, and of files otherwise, stays."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle as a folder, for tests that only read it."""
    from bundles import make

    return make(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Each kind of job store, with users ann and bob."""
    from jobs_stores import new_url, opened

    database = opened(new_url(request.param, tmp_path), "ann", "bob")
    yield database
    database.close()
