"""What this machine can do, and what a job would lack here."""

from __future__ import annotations

import os
from typing import Any

from rich.table import Table

from profiler import backend as backends
from profiler import cuda_device, machine, memory
from search import searcher
from service import doctor_gpu
from service.spec import JobSpec, TargetSpec
from training import data


def examine() -> dict[str, Any]:
    """Facts about the machine, as JSON-able data; nothing heavy is imported to find them."""
    return {
        "cpu": machine.cpu_name(),
        "isa": machine.isa(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory": memory.description(),
        "backends": {name: backends.load(name).unavailable() for name in backends.names()},
        "cuda": _cuda(),
        "gpu": doctor_gpu.examine(),
        "data_sets": {name: data.dataset(name).unavailable(None) for name in data.names()},
        "searchers": searcher.names(),
    }


def missing(spec: JobSpec) -> list[str]:
    """What `spec` needs and this machine lacks, one line each."""
    lacks = []
    for field, path in (
        ("profile.table", spec.profile.table),
        ("train.teacher_weights", spec.train.teacher_weights),
    ):
        if path is not None and not path.exists():
            lacks.append(f"{field}: {path} does not exist")
    lacks += _target("target", spec.target)
    for name, target in spec.limits.targets().items():
        if target.on is None:  # else it is another machine's to say
            lacks += _target(f"limits.further.{name}.target", target)
    lacks += _gpus(spec)
    if spec.data.name not in data.names():
        lacks.append(f"data.name: {spec.data.name!r} is not among {', '.join(data.names())}")
    elif reason := data.dataset(spec.data.name).unavailable(spec.data.path):
        field = "data.path" if spec.data.path else "data.name"
        lacks.append(f"{field}: {spec.data.path or spec.data.name} cannot be used: {reason}")
    if spec.search.searcher not in searcher.names():
        lacks.append(
            f"search.searcher: {spec.search.searcher!r} is not among {', '.join(searcher.names())}"
        )
    return lacks


def _gpus(spec: JobSpec) -> list[str]:
    here = len(cuda_device.names())
    wanted = (("supernet", spec.supernet.device, spec.supernet.processes),
              ("train", spec.train.device, spec.train.processes))  # fmt: skip
    return [
        f"{section}.device: cuda needs {count} GPU{'s' * (count > 1)}, but {here} are here"
        for section, device, count in wanted
        if device == "cuda" and here < count
    ]


def _target(field: str, target: TargetSpec) -> list[str]:
    if target.backend not in backends.names():
        return [f"{field}.backend: {target.backend!r} is not among {', '.join(backends.names())}"]
    lacks, backend = [], backends.load(target.backend)
    try:
        backends.load(target.backend, target.device)
    except backends.BackendError as error:
        lacks.append(f"{field}.device: {error}")
    if reason := backend.unavailable():
        lacks.append(f"{field}.backend: {target.backend} cannot run here: {reason}")
    if target.precision not in backend.precisions:
        lacks.append(
            f"{field}.precision: {target.backend} measures {', '.join(backend.precisions)}, "
            f"not {target.precision}"
        )
    return lacks


def render(findings: dict[str, Any], lacks: list[str]) -> Table:
    """The findings for a terminal."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("CPU", f"{findings['cpu']}, {findings['cores']} cores, {findings['isa']}")
    table.add_row("memory", f"measuring processes get {findings['memory']}")
    table.add_row("NVIDIA driver", findings["cuda"] or "none")
    for name, text in doctor_gpu.rows(findings["gpu"]):
        table.add_row(name, text)
    for name, reason in findings["backends"].items():
        table.add_row(f"backend {name}", reason or "ready")
    for name, reason in findings["data_sets"].items():
        table.add_row(f"data {name}", reason or "ready")
    for lack in lacks:
        table.add_row("[red]missing[/red]", lack)
    return table


def _cuda() -> str | None:
    """The driver's own word, without importing torch."""
    try:
        with open("/proc/driver/nvidia/version", encoding="utf-8") as file:
            return file.readline().strip()
    except OSError:
        return None
