"""Configs that the field's pruning criteria propose for a job, and networks cut by them.

A criterion looks at the job's teacher, or at a dense network trained its own way with the teacher's
recipe; such a training lies in the run folder under `criteria/`, and continues after a kill.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from service.console import Report
from service.job import Job
from service.store import RunError, digest
from supernet.config import ChannelConfig

if TYPE_CHECKING:
    from search.problem import Problem
    from supernet.resnet import ResNet
    from training.criterion import Criterion, Importance
    from training.recipe import Recipe


def proposals(
    job: Job, problem: Problem, names: tuple[str, ...], progress: Report
) -> dict[str, ChannelConfig]:
    """The config that each criterion, or combination of criteria, makes of the job's limits.

    Raises:
        CriterionError: no such criterion.
        RunError: one that cannot be computed here.
    """
    from search.proposals import proposed

    found: dict[str, tuple[ResNet, Importance]] = {}
    return {name: proposed(problem, _importance(job, name, found, progress)[1]) for name in names}


def pruned(job: Job, config: ChannelConfig, name: str, progress: Report) -> ResNet:
    """The network of `config` with the weights of the channels that criterion `name` keeps.

    Of a combination, the network that its first criterion looks at is cut.

    Raises:
        CriterionError, RunError: see `proposals`.
        ConfigError: the config does not fit the job's network.
    """
    from training.surgery import prune

    net, importance = _importance(job, name, {}, progress)
    return prune(net, config, importance)


def _importance(
    job: Job, name: str, found: dict[str, tuple[ResNet, Importance]], progress: Report
) -> tuple[ResNet, Importance]:
    from search.proposals import combined
    from training.criterion import load, parts

    for part in parts(name):
        if part not in found:
            criterion = load(part)
            if reason := criterion.unavailable():
                raise RunError(f"criterion {part} cannot be computed here: {reason}")
            net = _network(job, part, criterion, progress)
            found[part] = (net, criterion.importance(net, job.data()))
    chosen = [found[part] for part in parts(name)]
    if len(chosen) == 1:
        return chosen[0]
    return chosen[0][0], combined([importance for _, importance in chosen])


def _network(job: Job, name: str, criterion: Criterion, progress: Report) -> ResNet:
    from service.stages.teacher import teacher

    recipe = criterion.recipe(job.spec.train.teacher)
    return teacher(job) if recipe is None else _trained(job, name, recipe, progress)


def _trained(job: Job, name: str, recipe: Recipe, progress: Report) -> ResNet:
    import torch

    from supernet.resnet import ResNet
    from training.recipe import decides
    from training.scratch import train

    spec = job.spec
    inputs = [decides(recipe), asdict(spec.network), spec.data.model_dump(mode="json"), spec.seed]
    torch.manual_seed(spec.seed)
    net = ResNet(spec.network, spec.network.dense())
    train(
        net,
        job.data(),
        recipe,
        job.folder.path / "criteria" / f"{name}-{digest(inputs)[:12]}",
        seed=spec.seed,
        progress=lambda done, total, note: progress(done, total, f"{name}: {note}"),
    )
    return net.eval()
