"""Stage teacher: the dense network, trained here or given; it distils into the finalists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jobs.submission import Needs
from service.console import Report
from service.job import Job, Stage, always
from service.plain import fields
from service.ranks import device
from service.spec import JobSpec
from service.store import write_json
from training.recipe import decides

if TYPE_CHECKING:
    from supernet.resnet import ResNet

WEIGHTS = "teacher.safetensors"


def settings(spec: JobSpec) -> object:
    """What decides the result."""
    return {
        "network": fields(spec.network),
        "data": spec.data.model_dump(mode="json"),
        "recipe": decides(spec.train.teacher),
        "weights": str(spec.train.teacher_weights),
        "seed": spec.seed,
        "cpu_threads": spec.cpu_threads,
        **spec.train.decides("device"),
    }


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes the teacher's weights and its training history."""
    import torch

    from supernet.resnet import ResNet
    from supernet.weights import load_weights, save_weights
    from training.scratch import train

    spec = job.spec
    torch.manual_seed(spec.seed)
    net = ResNet(spec.network, spec.network.dense())
    history: list[dict[str, float]] = []
    if spec.train.teacher_weights is not None:
        load_weights(net, spec.train.teacher_weights)
    else:
        result = train(
            net.to(device(spec.train.device)),
            job.data(),
            spec.train.teacher,
            folder / "checkpoints",
            seed=spec.seed,
            progress=progress,
        )
        history = result.history
    save_weights(net, folder / WEIGHTS)
    write_json(folder / "history.json", history)
    return [WEIGHTS, "history.json"]


def needs(spec: JobSpec) -> Needs:
    """A GPU where it is trained on one."""
    trained = spec.train.teacher_weights is None
    return Needs(gpus=int(trained and spec.train.device == "cuda"))


def teacher(job: Job) -> ResNet:
    """The trained dense network, in evaluation mode."""
    from supernet.resnet import ResNet
    from supernet.weights import load_weights

    net = ResNet(job.spec.network, job.spec.network.dense())
    load_weights(net, job.file("teacher", WEIGHTS))
    return net.eval()


STAGE = Stage(
    name="teacher",
    summary="training the dense network",
    after=always("capacity"),
    settings=settings,
    needs=needs,
    run=run,
)
