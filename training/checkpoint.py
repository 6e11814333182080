"""Checkpoints: tensors in safetensors, the rest in JSON; a torn one is never loaded.

The tensor file is written first and the manifest, which holds its sha256, last: a manifest that
can be read therefore speaks of a whole checkpoint. Knows nothing of what is being trained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load as parse_tensors
from safetensors.torch import save as format_tensors
from torch import Tensor

from training.files import read_sealed, sha256, write, write_sealed

SCHEMA = 1
KEPT = 2


class CheckpointError(ValueError):
    """A checkpoint or result that does not belong to the run that asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """State of a run after `step` steps.

    Attributes:
        tensors: by name; dense, on CPU.
        state: everything else, as JSON values.
    """

    step: int
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint and removes all but the newest two.

    Raises:
        ValueError: a NaN or an infinity in `state`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"step-{checkpoint.step:09d}"
    write_pair(folder, name, checkpoint.tensors, dict(checkpoint.state))
    _sweep(folder, KEPT)


def load_latest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint in `folder`, or None if there is none."""
    for step, name in reversed(_manifests(folder)):
        if (pair := read_pair(folder, name)) is not None:
            return Checkpoint(step=step, tensors=pair[0], state=pair[1])
    return None


def write_pair(
    folder: Path, name: str, tensors: Mapping[str, Tensor], state: dict[str, Any]
) -> Path:
    """Writes `<name>.safetensors`, then `<name>.json`; returns the path of the tensors."""
    content = format_tensors({key: t.detach().cpu().contiguous() for key, t in tensors.items()})
    path = folder / f"{name}.safetensors"
    write(path, content)
    manifest = {"schema": SCHEMA, "tensors": sha256(content), "state": state}
    write_sealed(folder / f"{name}.json", manifest)
    return path


def read_pair(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `write_pair` wrote, or None if any of it is absent, torn or altered."""
    manifest = read_sealed(folder / f"{name}.json")
    if manifest is None or manifest.get("schema") != SCHEMA:
        return None
    try:
        content = (folder / f"{name}.safetensors").read_bytes()
    except OSError:
        return None
    if sha256(content) != manifest["tensors"]:
        return None
    return parse_tensors(content), manifest["state"]


def remove_all(folder: Path) -> None:
    """Removes every checkpoint in `folder`, once its run is finished."""
    _sweep(folder, 0)


def _manifests(folder: Path) -> list[tuple[int, str]]:
    found = (re.fullmatch(r"(step-(\d+))\.json", path.name) for path in folder.glob("step-*.json"))
    return sorted((int(match[2]), match[1]) for match in found if match)


def _sweep(folder: Path, keep: int) -> None:
    names = [name for _, name in _manifests(folder)]
    kept = set(names[len(names) - min(keep, len(names)) :])
    # Manifests go first: a crash in between leaves tensors without a claim, never the reverse.
    stale = [p for p in folder.glob("step-*.*") if p.name.split(".")[0] not in kept]
    for path in sorted(stale, key=lambda p: p.suffix != ".json"):
        path.unlink(missing_ok=True)
