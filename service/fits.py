"""Candidates to be trained, one process a training, in sequence or some at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bundle.manifest import MANIFEST
from service.fit_spec import FitSpec, dump
from service.ranks import environment
from service.spec_part import SpecError
from service.store import read_json, write_json
from supernet.config import ChannelConfig, ConfigError

RESULT = "result.json"


class FitError(RuntimeError):
    """A training that failed, or was told to end; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One training: a candidate and the number of its seed."""

    name: str
    config: ChannelConfig
    seed: int

    def folder(self, out: Path) -> Path:
        return out / self.name / f"seed-{self.seed}"


def candidates(source: Path, spec: FitSpec) -> dict[str, ChannelConfig]:
    """Configs by name, of a bundle, or of a JSON file of one or several.

    Raises:
        SpecError: unreadable, none inside, or not of the recipe's network.
    """
    found = _of_bundle(source, spec) if _is_bundle(source) else _of_json(source)
    for name, config in found.items():
        try:
            spec.network.check(config)
        except ConfigError as error:
            raise SpecError(f"{source}: {name}: {error}") from None
    return found


def units(found: Mapping[str, ChannelConfig], spec: FitSpec) -> list[Unit]:
    """What is to be trained, in order."""
    return [
        Unit(name, config, seed) for name, config in found.items() for seed in range(spec.seeds)
    ]


def unfinished(todo: list[Unit], out: Path) -> list[Unit]:
    """Those without a result in `out`."""
    return [unit for unit in todo if not (unit.folder(out) / RESULT).exists()]


def run(todo: list[Unit], spec: FitSpec, out: Path, parallel: int, watch: Any) -> dict[str, Any]:
    """Trains all, `parallel` at a time; what was finished before is not repeated.

    Args:
        watch: called with unit, steps done, steps in all and a note.

    Raises:
        FitError: one failed, all were told to end, or another process trains there.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock", timeout=0)
    try:
        with lock:
            (out / "spec.json").write_text(dump(spec), encoding="utf-8")
            _all(todo, spec, out, parallel, watch)
    except Timeout:
        raise FitError(f"{out}: another stairprune process trains there") from None
    summary = summarised(todo, out)
    write_json(out / "fit.json", summary)
    return summary


def estimated(unit: Unit, spec: FitSpec, out: Path) -> dict[str, Any]:
    """What one training takes, from a few steps in a process of its own."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "spec.json").write_text(dump(spec), encoding="utf-8")
    command = [*_command(unit, spec, out, alone=True), "--estimate"]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise FitError(f"estimating {unit.name} failed: {_reason(done.stderr)}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def summarised(todo: list[Unit], out: Path) -> dict[str, Any]:
    """Test accuracies by candidate."""
    found: dict[str, Any] = {}
    for unit in todo:
        result = read_json(unit.folder(out) / RESULT)
        entry = found.setdefault(unit.name, {"config": unit.config.to_json(), "n": result["n"]})
        entry.setdefault("test", []).append(result["test"])
    return found


def _all(todo: list[Unit], spec: FitSpec, out: Path, parallel: int, watch: Any) -> None:
    left = unfinished(todo, out)
    slots = list(range(parallel))
    guard = threading.Lock()
    with _children() as children, ThreadPoolExecutor(parallel) as pool:

        def one(unit: Unit) -> None:
            with guard:
                slot = slots.pop(0)
            try:
                children.follow(unit, spec, out, slot if parallel > 1 else None, watch)
            finally:
                with guard:
                    slots.append(slot)

        for future in [pool.submit(one, unit) for unit in left]:
            try:
                future.result()
            except FitError:
                children.end()
                raise


class _Children:
    """Processes that train, and their end."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen[str]] = []
        self.ended = False

    def end(self) -> None:
        """Asks all to save and end."""
        self.ended = True
        for process in self.running:
            process.terminate()

    def follow(self, unit: Unit, spec: FitSpec, out: Path, slot: int | None, watch: Any) -> None:
        """Runs one to its end."""
        if self.ended:
            raise FitError(f"{unit.name}, seed {unit.seed}: not begun")
        folder = unit.folder(out)
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "log.txt"
        with log.open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                _command(unit, spec, out), env=_environment(slot, spec), text=True,
                stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
            )  # fmt: skip
        self.running.append(process)
        if self.ended:  # between the question above and now
            process.terminate()
        assert process.stdout is not None
        for line in process.stdout:
            try:
                done, total, note = json.loads(line)
            except ValueError:
                continue  # a library that prints
            watch(unit, done, total, note)
        code = process.wait()
        self.running.remove(process)
        if self.ended and code:
            raise FitError(f"{unit.name}, seed {unit.seed}: stopped; the same command continues")
        if code:
            reason = _reason(log.read_text(encoding="utf-8", errors="replace"))
            raise FitError(f"{unit.name}, seed {unit.seed}: {reason} ({log})")


@contextmanager
def _children() -> Iterator[_Children]:
    """SIGTERM and Ctrl-C end the children first."""
    found = _Children()
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    before = {
        number: signal.signal(number, lambda *_: found.end())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield found
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _command(unit: Unit, spec: FitSpec, out: Path, *, alone: bool = False) -> list[str]:
    folder = unit.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", unit.config.to_json())
    head = [sys.executable, "-m", "service.fitting"]
    if spec.processes > 1 and not alone:
        head = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                f"--nproc-per-node={spec.processes}", "--module", "service.fitting"]  # fmt: skip
    paths = (out / "spec.json", folder / "config.json")
    return [*head, *map(str, paths), str(unit.seed), str(folder)]


def _environment(slot: int | None = None, spec: FitSpec | None = None) -> dict[str, str]:
    """`environment`, and, with several trainings at a time, which GPUs are whose."""
    found = environment()
    if slot is not None and spec is not None and spec.device == "cuda":
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        first = slot * spec.processes
        names = given.split(",") if given else [str(n) for n in range(first + spec.processes)]
        if len(names) < first + spec.processes:
            raise FitError(
                f"{first + spec.processes} GPUs are needed, but {len(names)} are visible"
            )
        found["CUDA_VISIBLE_DEVICES"] = ",".join(names[first : first + spec.processes])
    return found


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "Error:" in line or "Stopped:" in line]
    errors = [line for line in errors if "ChildFailed" not in line]
    return (errors or lines or ["it was killed"])[-1][:400]


def _is_bundle(source: Path) -> bool:
    return source.suffix == ".zip" or (source / MANIFEST).exists()


def _of_bundle(source: Path, spec: FitSpec) -> dict[str, ChannelConfig]:
    from bundle.reading import opened

    with opened(source) as bundle:
        claims = bundle.claims
    if claims.spec() != spec.network:
        raise SpecError(f"{source} is of another network than the recipe: {claims.spec()}")
    return {claims.name.replace("/", "-"): claims.widths()}


def _of_json(source: Path) -> dict[str, ChannelConfig]:
    try:
        data = json.loads(source.read_bytes())
        entries = data if isinstance(data, list) else [data]
        found = [
            ChannelConfig.from_json(
                entry.get("config", entry) if isinstance(entry, dict) else entry
            )
            for entry in entries
        ]
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(f"{source}: {error!s:.300}") from None
    if not found:
        raise SpecError(f"{source} holds no config")
    if not isinstance(data, list):
        return {source.stem: found[0]}
    return {f"{source.stem}-{number}": config for number, config in enumerate(found, 1)}
