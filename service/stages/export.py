"""Stage export: every trained network as ONNX, its outputs compared with torch's."""

from __future__ import annotations

from pathlib import Path

from service.console import Report
from service.job import Job, Stage, always
from service.spec import JobSpec
from service.stages.teacher import WEIGHTS
from service.store import write_json


def settings(spec: JobSpec) -> object:
    """What decides the result."""
    return {"batch": spec.target.batch}


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes `<name>.onnx` (first seed) for every finalist and `check.json`."""
    import torch

    from export.onnx_file import check, export
    from supernet.resnet import ResNet
    from supernet.weights import load_weights

    network, batch = job.spec.network, job.spec.target.batch
    images, _ = job.data().test.batch(torch.arange(batch), None)
    finalists = job.finalists()
    differences, outputs = {}, ["check.json"]
    for number, (name, config) in enumerate(finalists.items(), 1):
        net = ResNet(network, config).eval()
        load_weights(net, weights(job, name))
        path = folder / f"{name}.onnx"
        export(net, images, path)
        differences[name] = check(net, path, images)
        outputs.append(path.name)
        progress(number, len(finalists), name)
    write_json(folder / "check.json", {"max_relative_difference": differences})
    return outputs


def weights(job: Job, name: str) -> Path:
    """Trained weights of a finalist; those of its first seed where there are several."""
    if name == "dense":
        return job.file("teacher", WEIGHTS)
    return job.file("train", f"{name}/seed-0/weights.safetensors")


STAGE = Stage(
    name="export",
    summary="writing ONNX files and comparing their outputs with torch's",
    after=always("select", "teacher", "train"),
    settings=settings,
    run=run,
)
