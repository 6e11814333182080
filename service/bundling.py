"""A finalist of a job as a bundle: its files, and claims that are read from the job's stages."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bundle.claims import (
    Accuracy,
    Claims,
    DataClaim,
    Interval,
    Latency,
    Precision,
    TableClaim,
    identity,
    text,
)
from bundle.manifest import CLAIMS, INT8, ONNX, WEIGHTS
from bundle.writing import pack, seal
from latency_tables.table import Measurement
from profiler.stats import paired_ratio, wilson
from service.job import Job
from service.stages.export import weights
from service.stages.measure import read_measurement
from service.stages.profile import target
from service.store import write_json
from supernet.arithmetic import count

if TYPE_CHECKING:
    from training.data import Data

_PACKAGES = ("stairprune", "torch", "torchvision", "onnx", "onnxruntime", "numpy", "safetensors")


def bundle_finalist(job: Job, name: str, data: Data, folder: Path, path: Path) -> None:
    """Fills `folder`, seals it, and packs it into the archive `path`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = claims(job, name, data)
    (folder / CLAIMS).write_text(text(made), encoding="utf-8")
    shutil.copyfile(weights(job, name), folder / WEIGHTS)
    shutil.copyfile(job.file("export", f"{name}.onnx"), folder / ONNX)
    if "int8" in made.accuracy:
        shutil.copyfile(job.file("quantise", f"{name}.int8.onnx"), folder / INT8)
    recipe = {"seed": job.spec.seed + 1000, "recipe": asdict(job.spec.train.recipe)}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    write_json(folder / "environment.json", environment())
    (folder / "README.md").write_text(readme(made), encoding="utf-8")
    (folder / "NOTICE.txt").write_text(_notice(made), encoding="utf-8")
    seal(folder)
    pack(folder, path)
    shutil.rmtree(folder)


def claims(job: Job, name: str, data: Data) -> Claims:
    """Everything the job knows of a finalist; of its first seed where there are several."""
    config, spec = job.finalists()[name], job.spec
    macs, params = count(spec.network, config)
    table = job.table()
    estimates = {c.config: c.estimate for c in job.history().candidates}
    return Claims(
        name=f"{spec.name}/{name}",
        network={**asdict(spec.network), "depths": list(spec.network.depths)},
        config=config.to_json(),
        macs=macs,
        params=params,
        data=DataClaim(
            name=spec.data.name,
            resolution=spec.network.resolution,
            channels=spec.network.channels,
            validation=spec.data.validation,
            limit=spec.data.limit,
            seed=spec.seed,
            fingerprint=data.fingerprint,
        ),
        accuracy=_accuracies(job, name, len(data.test)),
        estimate=estimates.get(config) if spec.search.objective == "estimate" else None,
        latency=tuple(_latencies(job, name)),
        table=TableClaim(
            fingerprint=table.fingerprint,
            target=str(table.target),
            measured=not table.target.modelled,
        ),
    )


def environment() -> dict[str, Any]:
    """Packages and machine on which a bundle was made."""
    from importlib import metadata

    from profiler import machine

    known = {}
    for package in _PACKAGES:
        try:
            known[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"packages": known, "device": machine.device(), "facts": machine.facts()}


def _accuracies(job: Job, name: str, n: int) -> dict[Precision, Accuracy]:
    def share(value: float) -> Accuracy:
        lo, hi = wilson(value, n)
        return Accuracy(test=value, n=n, lo=lo, hi=hi)

    tested = job.json("train", "accuracy.json")["test"][name]
    found: dict[Precision, Accuracy] = {"fp32": share(tested[0])}
    if network := job.json("quantise", "quantised.json")["networks"].get(name):
        found["int8"] = share(network["int8"]["accuracy"])
    return found


def _latencies(job: Job, name: str) -> list[Latency]:
    """Of files that ran in the same passes as the dense network as fp32."""
    measured, other = job.json("measure", "measured.json"), job.json("measure", "other.json")
    by_precision = {job.spec.target.precision: measured}
    if other["networks"]:
        by_precision[other["precision"]] = other["networks"]
    goal = target(job.spec)
    if goal.modelled or "fp32" not in by_precision:
        return []
    dense = read_measurement(by_precision["fp32"]["dense"])
    return [
        _latency(precision, identity(goal), read_measurement(of[name]), dense)
        for precision, of in by_precision.items()
        if precision in ("fp32", "int8")
    ]


def _latency(precision: str, goal: dict[str, Any], own: Measurement, dense: Measurement) -> Latency:
    return Latency(
        precision="int8" if precision == "int8" else "fp32",
        target={**goal, "precision": precision},
        ms=Interval(median=own.median, lo=own.lo, hi=own.hi),
        times_dense=Interval(**asdict(paired_ratio(dense.adjusted, own.adjusted))),
        flags=tuple(own.flags),
    )


def readme(made: Claims) -> str:
    """The claims in words."""
    lines = [
        f"# {made.name}",
        "",
        f"A pruned ResNet, {made.macs:,} MACs and {made.params:,} params, trained on "
        f"{made.data.name}.",
        "",
        *(
            f"- {precision}: {a.test:.4f} of {a.n:,} test images ({a.lo:.4f} to {a.hi:.4f})"
            for precision, a in made.accuracy.items()
        ),
        *(
            f"- {one.precision}: {one.ms.median:.3f} ms, {one.times_dense.median:.2f} times as "
            f"fast as the dense network as fp32, on {one.target['device']}, "
            f"batch {one.target['batch']}"
            for one in made.latency
        ),
        "",
        "`stairprune verify THIS` checks all of it. In Python: `from bundle.load import load`.",
        "Images enter normalised as the data set's own, channels first; logits come out.",
        "",
    ]
    return "\n".join(lines)


def _notice(made: Claims) -> str:
    return (
        "Made with stairprune, which is licensed under the Apache License 2.0. The weights and "
        "graphs here hold no code\nof it; they belong to whoever trained them. They were trained "
        f"on the data set {made.data.name!r},\nwhose terms apply to their use.\n"
    )
