"""Asking a fresh process to measure; see `profiler.worker`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from latency_tables.table import Roof, Target
from profiler.backend import BackendError, BrokenError, OutOfMemoryError
from profiler.measure import Progress, Session, quiet
from profiler.memory import environment
from profiler.models import Model
from profiler.protocol import Protocol
from profiler.worker import roof_from_json, session_from_json

COMMAND = (sys.executable, "-m", "profiler.worker")
ERRORS = {kind.__name__: kind for kind in (BrokenError, OutOfMemoryError)}
"""Errors that cross from the measuring process as what they are; others are a BackendError."""


def run_session(
    target: Target,
    models: Mapping[str, Model],
    sentinel: Model,
    protocol: Protocol,
    progress: Progress = quiet,
) -> Session:
    """Measures models against each other in a process of its own.

    Args:
        target: its runtime names the backend.

    Raises:
        BrokenError: the process died, or its CUDA context broke; says how.
        BackendError: the runtime failed.
    """
    request = {
        "what": "session",
        "models": {name: model.to_json() for name, model in models.items()},
        "sentinel": sentinel.to_json(),
        "protocol": asdict(protocol),
    }
    return session_from_json(_ask(target, request, progress)["session"])


def run_roof(target: Target) -> Roof:
    """Measures peak and bandwidth in a process of its own; errors as in `run_session`."""
    return roof_from_json(_ask(target, {"what": "roof"}, quiet)["roof"])


def _ask(target: Target, request: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    whole = {"backend": target.runtime, "target": asdict(target), **request}
    process = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(whole) + "\n")
        process.stdin.close()
        for line in process.stdout:
            message: dict[str, Any] = json.loads(line)
            if "progress" in message:
                progress(*message["progress"])
            elif "error" in message:
                raise ERRORS.get(message["type"], BackendError)(message["error"])
            else:
                return message
    except BrokenPipeError:
        pass
    finally:
        process.kill()
        code = process.wait()
        process.stdout.close()
    raise BrokenError(f"the measuring process ended without an answer (exit code {code})")
