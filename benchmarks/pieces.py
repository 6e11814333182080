"""Works off pieces that need each other's results, in several processes; a killed run continues.

Knows nothing of what the pieces do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from service.scoring import follow_parent

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of work: `call(*args)` gives its row; it waits for the pieces called `needs`."""

    name: str
    needs: tuple[str, ...]
    call: Callable[..., Row]
    args: tuple[Any, ...]


def done(file: Path) -> dict[str, Row]:
    """The rows of finished pieces by name; half a last line is left out."""
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row.pop("piece")] = row
    return found


def work_off(
    pieces: Sequence[Piece], file: Path, *, workers: int, minutes: float
) -> dict[str, Row]:
    """Runs what has no row yet, the first pieces first, until all is done or the time is over.

    Every piece is called with the rows so far and its own arguments. Where one fails, those that
    run are ended and the error is raised; rows written before are kept.

    Raises:
        ValueError: pieces need one that is not there.
    """
    deadline, known = time.monotonic() + 60 * minutes, done(file)
    todo = [piece for piece in pieces if piece.name not in known]
    running: dict[Future[Row], Piece] = {}
    with (
        ProcessPoolExecutor(workers, get_context("spawn"), follow_parent) as pool,
        file.open("a", encoding="utf-8") as rows,
    ):
        if file.stat().st_size and not file.read_bytes().endswith(b"\n"):
            rows.write("\n")  # half a line of a run that was killed stays apart
        try:
            while (todo or running) and time.monotonic() < deadline:
                for piece in _ready(todo, known)[: workers - len(running)]:
                    todo.remove(piece)
                    running[pool.submit(piece.call, dict(known), *piece.args)] = piece
                if not running:
                    raise ValueError(f"{todo[0].name} needs what is not among the pieces")
                for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
                    piece = running.pop(future)
                    row = future.result()
                    known[piece.name] = row
                    rows.write(json.dumps({"piece": piece.name, **row}) + "\n")
                    rows.flush()
                    left = f"{len(todo) + len(running)} left"
                    print(f"{piece.name}: {row.get('seconds', 0.0):.1f} s, {left}", flush=True)
        finally:
            for process in list((pool._processes or {}).values()) if running else ():
                process.kill()
    return known


def _ready(todo: Sequence[Piece], known: Mapping[str, Row]) -> list[Piece]:
    return [piece for piece in todo if all(name in known for name in piece.needs)]
