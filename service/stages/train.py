"""Stage train: every finalist from scratch, distilled from the teacher; then the test set, once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.submission import Needs
from service.console import Report, say
from service.job import Job, Stage, always
from service.ranks import count, device, join, launch, leads
from service.spec import JobSpec
from service.stages.teacher import teacher
from service.store import read_json, write_json
from supernet.config import ChannelConfig
from training.recipe import decides

if TYPE_CHECKING:
    from supernet.resnet import ResNet
    from training.data import Data


def settings(spec: JobSpec) -> object:
    """What decides the result."""
    return {
        "recipe": decides(spec.train.recipe),
        "seeds": spec.train.seeds,
        "seed": spec.seed,
        "cpu_threads": spec.cpu_threads,
        **spec.train.decides("device", "processes", "hosts"),
    }


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes one folder per network and seed, and `accuracy.json`."""
    spec = job.spec.train
    if (processes := count(spec.hosts, spec.processes, job)) * job.gathering.hosts > 1:
        launch(job, "train", folder, progress, processes)
    else:
        train(job, folder, progress)
    for name, accuracies in read_json(folder / "accuracy.json")["test"].items():
        if name != "dense":
            say(f"  {name}: test accuracy {', '.join(f'{a:.4f}' for a in accuracies)}")
    return [
        "accuracy.json",
        *(f"{place}/{file}" for place in _places(job)
          for file in ("weights.safetensors", "result.json")),
    ]  # fmt: skip


def _places(job: Job) -> dict[str, tuple[str, ChannelConfig, int]]:
    """By folder, what is trained: name, config and repetition."""
    return {
        f"{name}/seed-{number}": (name, config, number)
        for name, config in job.finalists().items()
        if name != "dense"
        for number in range(job.spec.train.seeds)
    }


def train(job: Job, folder: Path, progress: Report) -> None:
    """The work of `run`, in each of the processes that train together."""
    data, guide = job.data(), teacher(job)
    results: dict[str, list[float]] = {"dense": [_test(guide, data)] if leads() else []}
    for place, (name, config, number) in _places(job).items():
        outcome = train_config(
            job, config, folder / place, number, guide, data, _labelled(progress, place)
        )
        if leads():
            results.setdefault(name, []).append(outcome["test"])
    if leads():
        write_json(folder / "accuracy.json", {"n": len(data.test), "test": results})


def needs(spec: JobSpec) -> Needs:
    """With cuda a GPU for each process."""
    own = spec.train
    return Needs(gpus=own.processes if own.device == "cuda" else 0, hosts=own.hosts)


def joined(job: Job, folder: Path, place: Mapping[str, Any], number: int) -> None:
    """The part of another host."""
    join(job, "train", folder, place, number)


def train_config(
    job: Job,
    config: ChannelConfig,
    folder: Path,
    number: int,
    guide: ResNet,
    data: Data,
    progress: Report,
    start: ResNet | None = None,
) -> dict[str, Any]:
    """Trains one config with the job's recipe; returns test accuracy and history.

    Nothing is written or returned by a process that trains with others and does not lead.

    Args:
        number: repetition; it sets weights and data order.
        guide: the teacher.
        start: weights to start from, None for new ones.
    """
    import torch

    from supernet.resnet import ResNet
    from supernet.weights import save_weights
    from training.scratch import train as from_scratch

    done = folder / "result.json"
    if done.exists():
        outcome: dict[str, Any] = read_json(done)
        return outcome
    folder.mkdir(parents=True, exist_ok=True)
    seed = job.spec.seed + 1000 * (number + 1)
    torch.manual_seed(seed)
    net = ResNet(job.spec.network, config) if start is None else start
    result = from_scratch(
        net.to(device(job.spec.train.device)),
        data,
        job.spec.train.recipe,
        folder / "checkpoints",
        seed=seed,
        teacher=guide,
        progress=progress,
    )
    if not leads():
        return {}
    save_weights(net, folder / "weights.safetensors")
    outcome = {"test": _test(net, data), "history": result.history, "config": config.to_json()}
    write_json(done, outcome)
    return outcome


def _test(net: ResNet, data: Data) -> float:
    from supernet.estimate import accuracy
    from training.images import evaluation_batches

    return accuracy(net, evaluation_batches(data.test))


def _labelled(progress: Report, label: str) -> Report:
    return lambda done, total, note: progress(done, total, f"{label} {note}")


STAGE = Stage(
    name="train",
    summary="training the finalists from scratch with distillation",
    after=always("select", "teacher"),
    settings=settings,
    needs=needs,
    run=run,
    join=joined,
)
