"""Processes that train together, started by torchrun on each host and followed from here.

By hand, over several machines that share the run folder:

    torchrun --nnodes 2 --nproc-per-node 8 ... -m service.ranks STAGE JOB.json RUN FOLDER
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from service.console import Report
from service.job import Job
from service.spec import JobSpec
from service.store import RunError, RunFolder

LOG = "ranks.log"
Train = Callable[[Job, Path, Report], None]
_TORCHRUN = (sys.executable, "-m", "torch.distributed.run")


def launch(job: Job, stage: str, folder: Path, progress: Report, processes: int) -> None:
    """Runs `train` of a stage in that many processes here, and as many on each other host.

    Where there are no other hosts but the job asks for some, all of them run here: what comes out
    depends on their number alone.

    Raises:
        RunError: one of them failed; the message names the log and its last words.
    """
    spec = folder / "job.json"
    spec.write_text(job.spec.model_dump_json(), encoding="utf-8")
    where = ["--standalone"]
    if (hosts := job.gathering.hosts) > 1:
        place = {"address": job.gathering.address, "port": job.gathering.free_port()}
        where = _nodes(place, hosts, 0)
        job.gathering.meet(**place, hosts=hosts, processes=processes)
    with (folder / LOG).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*_TORCHRUN, *where, *_module(job, stage, folder, processes)],
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
        total = processes * hosts
        raise RunError(f"training in {total} processes failed: {_reason(folder / LOG)}")


def join(job: Job, stage: str, folder: Path, place: Mapping[str, Any], number: int) -> None:
    """The processes of a further host, which end with those of the first.

    Raises:
        RunError: one of them failed; what it said is in this process's own log.
    """
    command = [*_TORCHRUN, *_nodes(place, place["hosts"], number)]
    arguments = _module(job, stage, folder, place["processes"])
    process = subprocess.Popen([*command, *arguments], env=environment())
    try:
        code = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if code:
        raise RunError(f"training on host {number} failed, see above")


def count(hosts: int, processes: int, job: Job) -> int:
    """Processes on this host, where a stage wants so many on each of its hosts."""
    return processes if job.gathering.hosts > 1 else hosts * processes


def _nodes(place: Mapping[str, Any], hosts: int, number: int) -> list[str]:
    address, port = place["address"], place["port"]
    where = [f"--master-addr={address}", f"--master-port={port}"]
    return [f"--nnodes={hosts}", f"--node-rank={number}", *where]


def _module(job: Job, stage: str, folder: Path, processes: int) -> list[str]:
    paths = (folder / "job.json", job.folder.path, folder)
    arguments = [str(path.resolve()) for path in paths]
    return [f"--nproc-per-node={processes}", "--module", "service.ranks", stage, *arguments]


def environment() -> dict[str, str]:
    """Ours, with the place of these modules, for a process that imports them."""
    root = str(Path(__file__).parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": paths}


def leads() -> bool:
    """Whether this process is the one that judges, saves and speaks, or alone."""
    return int(os.environ.get("RANK", "0")) == 0


def device(wanted: str) -> str:
    """The device of this process; with cuda each of a host has a GPU of its own.

    Raises:
        RunError: cuda where PyTorch sees no GPU.
    """
    import torch

    rank = int(os.environ.get("LOCAL_RANK", "0"))
    if wanted == "cuda" and torch.cuda.device_count() <= rank:
        raise RunError(
            f"device: cuda needs {rank + 1} GPU{'s' * (rank > 0)}, but PyTorch "
            f"{torch.__version__} sees {torch.cuda.device_count()} here; set device: cpu, or look "
            "at `stairprune doctor`"
        )
    return f"cuda:{rank}" if wanted == "cuda" else "cpu"


def main() -> None:
    """One of the processes."""
    stage, *paths = sys.argv[1:]
    spec, run, folder = map(Path, paths)
    job = Job(JobSpec.model_validate_json(spec.read_bytes()), RunFolder(run))
    train: Train = importlib.import_module(f"service.stages.{stage}").train

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
