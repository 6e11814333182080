"""Engines as files: the plan, and a JSON beside it that says what it is and what built it.

TensorRT runs whatever code a plan holds, so only engines that we built are loaded: those whose JSON
names their SHA-256, and the TensorRT that is here. That finds damage, mix-ups and files of others;
against someone who may write both files it is no defence.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latency_tables.files import replace_with
from profiler.backend import BackendError
from profiler.trt.build import Factory
from profiler.trt.networks import Fill

SUFFIXES = (".engine", ".plan")
MAKER = "stairprune"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """A serialized engine with what is known of it.

    Attributes:
        facts: TensorRT's version, the settings, what was built, on what.
    """

    data: bytes
    facts: Mapping[str, str]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def engine_bytes(
    factory: Factory, fill: Fill, what: str, facts: Mapping[str, str] | None = None
) -> PlanFile:
    """Builds an engine to be kept, of a config (`networks.whole`) or a file (`onnx_file`).

    Args:
        what: what is built, for errors and the record.
        facts: more for the record: the GPU, the driver, the config.

    Raises:
        BackendError: TensorRT refuses the network or cannot build it; with its own message.
    """
    data = factory.build(fill, what)
    return PlanFile(data=data, facts={**(facts or {}), **factory.facts(), "what": what})


def save(plan: PlanFile, path: Path) -> None:
    """Writes the engine and its JSON, each whole or not at all.

    Raises:
        BackendError: a name that is not an engine's, or a file that cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise BackendError(f"an engine's name must end with {' or '.join(SUFFIXES)}, got {path}")
    record = {"maker": MAKER, "sha256": plan.sha256, "facts": dict(sorted(plan.facts.items()))}
    text = json.dumps(record, indent=2) + "\n"
    try:
        # no moment at which an older JSON vouches for newer bytes: the hash is checked
        replace_with(path, lambda file: file.write_bytes(plan.data))
        replace_with(beside(path), lambda file: file.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise BackendError(f"cannot write the engine: {error}") from None


def load(path: Path, version: str) -> PlanFile:
    """Reads an engine that `save` wrote, to run it.

    Args:
        version: of the TensorRT that is to run it; an engine runs on no other.

    Raises:
        BackendError: as in `read`, or built by another version.
    """
    plan = read(path)
    if (built := plan.facts.get("tensorrt")) != version:
        raise BackendError(f"{path} was built by TensorRT {built}, but {version} is here")
    return plan


def read(path: Path) -> PlanFile:
    """Reads an engine that `save` wrote.

    Raises:
        BackendError: no such file, not ours, or damaged.
    """
    try:
        data = path.read_bytes()
        record = json.loads(beside(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BackendError(f"cannot read the engine: {error}") from None
    except (ValueError, RecursionError) as error:
        raise BackendError(f"{beside(path)} is not JSON: {error}") from None
    plan = PlanFile(data=data, facts=_facts(record, beside(path)))
    if record["sha256"] != plan.sha256:
        raise BackendError(f"{path} is not the engine that {beside(path).name} describes")
    return plan


def beside(path: Path) -> Path:
    """Where an engine's JSON lies."""
    return Path(f"{os.fspath(path)}.json")


def _facts(record: Any, path: Path) -> dict[str, str]:
    ours = isinstance(record, dict) and record.get("maker") == MAKER and "sha256" in record
    facts = record.get("facts") if ours else None
    if not isinstance(facts, dict) or not all(isinstance(v, str) for v in facts.values()):
        raise BackendError(f"{path} was not written by {MAKER}")
    return facts
