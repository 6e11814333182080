"""`drive_bundle`: LoadGen over a file of an opened bundle, made for the scenario's batch."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bundle.engines import onnx_of
from bundle.harness import SCENARIOS, drive
from bundle.manifest import BundleError
from bundle.reading import Bundle
from bundle.verify import images_of


def drive_bundle(
    bundle: Bundle,
    scenario: str,
    precision: str,
    logs: Path,
    *,
    seconds: float,
    queries: int,
    batch: int,
    threads: int,
    data: str | None = None,
    path: Path | None = None,
) -> dict[str, Any]:
    """See `bundle.harness.drive`; the test images are those of the claims where none are given.

    Raises:
        BundleError: no such scenario or precision, or see `drive`.
        DataError: the images are not there.
    """
    if scenario not in SCENARIOS:
        raise BundleError(f"scenario must be one of {', '.join(SCENARIOS)}, but got {scenario!r}")
    given = None if data is None and path is None else (data or bundle.claims.data.name, path)
    images = images_of(bundle, given).test
    size = 1 if scenario == "single-stream" else batch
    with tempfile.TemporaryDirectory() as folder:
        file = onnx_of(bundle, precision, size, Path(folder) / "model.onnx")
        found = drive(
            file,
            images,
            "offline" if scenario == "offline" else "single-stream",
            logs,
            batch=size,
            threads=threads,
            seconds=seconds,
            queries=queries,
        )
    return {"name": bundle.claims.name, "precision": precision, **found, "logs": str(logs)}
