"""Processes that train one supernet together, started by torchrun and followed from here.

By hand, over several machines that share the run folder:

    torchrun --nnodes 2 --nproc-per-node 8 ... -m service.ranks JOB.json RUN FOLDER
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from service.console import Report
from service.job import Job
from service.spec import JobSpec
from service.store import RunError, RunFolder

LOG = "ranks.log"


def launch(job: Job, folder: Path, progress: Report) -> None:
    """Trains the supernet of `job` in its number of processes.

    Raises:
        RunError: one of them failed; the message names the log and its last words.
    """
    count = job.spec.supernet.processes
    spec = folder / "job.json"
    spec.write_text(job.spec.model_dump_json(), encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, f"--nproc-per-node={count}", "--module", "service.ranks"]
    arguments = [str(path.resolve()) for path in (spec, job.folder.path, folder)]
    with (folder / LOG).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment(),
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                _forward(line, progress)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()  # torchrun ends its processes
                process.wait()
    if code:
        raise RunError(f"training in {count} processes failed: {_reason(folder / LOG)}")


def environment() -> dict[str, str]:
    """Ours, with the place of these modules, for a process that imports them."""
    root = str(Path(__file__).parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": paths}


def main() -> None:
    """One of the processes."""
    from service.stages.supernet import train

    spec, run, folder = (Path(argument) for argument in sys.argv[1:])
    job = Job(JobSpec.model_validate_json(spec.read_bytes()), RunFolder(run))

    def say(done: int, total: int, note: str) -> None:
        print(json.dumps([done, total, note]), flush=True)

    train(job, folder, say)


def _forward(line: str, progress: Report) -> None:
    try:
        done, total, note = json.loads(line)
    except ValueError:
        return  # a library that prints
    progress(done, total, note)


def _reason(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.strip() for line in lines if "Error:" in line and "ChildFailed" not in line]
    return f"{errors[0][:300] if errors else 'no error was written'} ({log})"


if __name__ == "__main__":
    main()
