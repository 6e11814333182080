"""Stage train: every finalist from scratch, distilled from the teacher; then the test set, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.console import Report, say
from service.job import Job, Stage, always
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
    }


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes one folder per network and seed, and `accuracy.json`."""
    data, guide = job.data(), teacher(job)
    results = {"dense": [_test(guide, data)]}
    outputs = ["accuracy.json"]
    for name, config in job.finalists().items():
        if name == "dense":
            continue
        results[name] = []
        for number in range(job.spec.train.seeds):
            place = f"{name}/seed-{number}"
            outcome = train_config(
                job, config, folder / place, number, guide, data, _labelled(progress, place)
            )
            results[name].append(outcome["test"])
            outputs += [f"{place}/weights.safetensors", f"{place}/result.json"]
        say(f"  {name}: test accuracy {', '.join(f'{a:.4f}' for a in results[name])}")
    write_json(folder / "accuracy.json", {"n": len(data.test), "test": results})
    return outputs


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

    Args:
        number: repetition; it sets weights and data order.
        guide: the teacher.
        start: weights to start from, None for new ones.
    """
    import torch

    from supernet.resnet import ResNet
    from supernet.weights import save_weights
    from training.scratch import train

    done = folder / "result.json"
    if done.exists():
        outcome: dict[str, Any] = read_json(done)
        return outcome
    folder.mkdir(parents=True, exist_ok=True)
    seed = job.spec.seed + 1000 * (number + 1)
    torch.manual_seed(seed)
    net = ResNet(job.spec.network, config) if start is None else start
    result = train(
        net,
        data,
        job.spec.train.recipe,
        folder / "checkpoints",
        seed=seed,
        teacher=guide,
        progress=progress,
    )
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
    run=run,
)
