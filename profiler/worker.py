"""The process that measures one session: `python -m profiler.worker`, a request on its input.

A process of its own, so that every session finds fresh memory, its threads stay on the measured
cores, and a runtime that breaks takes nothing else with it. Speaks JSON, one message a line:
progress, then the session or one error.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any, TextIO

from latency_tables.table import Roof, Target
from profiler.affinity import pinned
from profiler.backend import load
from profiler.capabilities import settle, watch_of
from profiler.measure import Session, measure
from profiler.memory import huge_share
from profiler.models import model_from_json
from profiler.protocol import Protocol
from profiler.roofline import roof


def main() -> None:
    """Reads a request from standard input, answers on standard output."""
    request, out = json.loads(sys.stdin.readline()), sys.stdout
    sys.stdout = sys.stderr  # a runtime that prints must not disturb the answer
    try:
        answer = _answer(request, out)
    except Exception as error:  # everything is told to the process that asked
        answer = {"error": str(error), "type": type(error).__name__}
    _say(out, answer)


def _answer(request: dict[str, Any], out: TextIO) -> dict[str, Any]:
    backend, target = load(request["backend"]), Target(**request["target"])
    with pinned(target.threads):
        settle(backend, target)
        if request["what"] == "roof":
            return {"roof": asdict(roof(backend, target))}
        models = {
            name: model_from_json(data).build(backend, target)
            for name, data in request["models"].items()
        }
        sentinel = model_from_json(request["sentinel"]).build(backend, target)

        def progress(done: int, total: int, note: str) -> None:
            _say(out, {"progress": [done, total, note]})

        watch = watch_of(backend, target)
        protocol = Protocol(**request["protocol"])
        session = measure(models, sentinel, protocol, progress, watch=watch)
        return {"session": {**asdict(session), "huge_pages": huge_share()}}


def session_from_json(data: dict[str, Any]) -> Session:
    """The session as `measure` gave it."""
    from latency_tables.table_file import measurement_from_json

    return Session(
        measurements={n: measurement_from_json(m) for n, m in data["measurements"].items()},
        minima={name: tuple(values) for name, values in data["minima"].items()},
        rejected={name: tuple(values) for name, values in data["rejected"].items()},
        sentinel=tuple(data["sentinel"]),
        level=data["level"],
        disturbances=tuple(data["disturbances"]),
        disturbed=data["disturbed"],
        settled=data["settled"],
        huge_pages=data["huge_pages"],
    )


def roof_from_json(data: dict[str, Any]) -> Roof:
    """The roof as it was measured."""
    return Roof(gmacs=data["gmacs"], gbytes=data["gbytes"])


def _say(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
