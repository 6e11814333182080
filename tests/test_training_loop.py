"""The loop that both trainings share: failures, stopping, identity, learning."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from training_toys import RECIPE, tiny_net, toy_data

from training.checkpoint import CheckpointError, load_latest
from training.errors import DivergedError, TrainingError, TrainingStopped
from training.loop import run
from training.recipe import Recipe
from training.scratch import train
from training.stopping import on_sigterm
from training.task import DEFAULTS, Control, Task, silent

PLAIN = Recipe(epochs=1, batch=16, lr=0.05, warmup_epochs=0)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def task(model: nn.Module, losses: object = None, recipe: Recipe = PLAIN) -> Task:
    def cross_entropy(images: Tensor, labels: Tensor, step: int) -> Iterator[Tensor]:
        yield nn.functional.cross_entropy(model(images), labels)

    return Task(
        model=model,
        images=toy_data().train,
        recipe=recipe,
        seed=0,
        losses=losses or cross_entropy,  # type: ignore[arg-type]
        evaluate=lambda judged: {"val_accuracy": 0.0},
        identity={},
    )


def test_training_learns_and_leaves_global_randomness_alone(tmp_path: Path) -> None:
    net, data, before = tiny_net(), toy_data(160), torch.get_rng_state()
    recipe = replace(RECIPE, epochs=8, lr=0.1, augment=False)
    result = train(net, data, recipe, tmp_path, seed=0)
    assert torch.equal(before, torch.get_rng_state())
    assert result.history[-1]["val_accuracy"] > 0.5
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert [row["epoch"] for row in result.history] == list(range(1, 9))
    assert not net.training


def test_seeds_change_the_run_and_equal_seeds_do_not(tmp_path: Path) -> None:
    losses = [
        train(tiny_net(), toy_data(), PLAIN, tmp_path / name, seed=seed).history[0]["loss"]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert losses[0] == losses[1] != losses[2]


def test_a_diverging_loss_is_an_error_and_no_result(tmp_path: Path) -> None:
    def losses(images: Tensor, labels: Tensor, step: int) -> Iterator[Tensor]:
        yield model(images).sum() * (float("nan") if step == 3 else 1e-3)

    model = tiny_net()
    with pytest.raises(DivergedError, match="loss became nan at step 3 of 5"):
        run(task(model, losses), tmp_path, silent, Control(save_every_steps=1))
    assert not (tmp_path / "weights.json").exists()
    found = load_latest(tmp_path)
    assert found is not None
    assert found.step == 3
    assert all(torch.isfinite(t).all() for t in found.tensors.values())


def test_weights_that_diverge_after_a_finite_loss_are_an_error(tmp_path: Path) -> None:
    def losses(images: Tensor, labels: Tensor, step: int) -> Iterator[Tensor]:
        loss = model(images).sum() * 1e-3
        yield loss.sqrt() * 0 + loss.detach().abs() if step == 4 else loss * 0

    model = tiny_net()
    nn.init.zeros_(model.fc.weight)  # a root at 0 has an infinite slope
    nn.init.zeros_(model.fc.bias)
    with pytest.raises(DivergedError, match="became NaN or infinite"):
        run(task(model, losses), tmp_path, silent, DEFAULTS)
    assert not (tmp_path / "weights.json").exists()


def test_out_of_memory_is_met_once_by_half_batches(tmp_path: Path) -> None:
    def losses(images: Tensor, labels: Tensor, step: int) -> Iterator[Tensor]:
        sizes.append(len(images))
        if len(images) > limit:
            raise torch.OutOfMemoryError("out of memory")
        yield nn.functional.cross_entropy(model(images), labels)

    model, sizes, limit = tiny_net(), list[int](), 8
    result = run(task(model, losses), tmp_path / "half", silent, DEFAULTS)
    assert sizes == [16] + [8] * 10
    assert 0 < result.history[0]["loss"] < 10
    limit = 7
    with pytest.raises(TrainingError, match="out of memory even at half of 16 images"):
        run(task(tiny_net(), losses), tmp_path / "none", silent, DEFAULTS)


def test_a_folder_serves_one_run(tmp_path: Path) -> None:
    train(tiny_net(), toy_data(), PLAIN, tmp_path, seed=0)
    with pytest.raises(CheckpointError, match="another seed;"):
        train(tiny_net(), toy_data(), PLAIN, tmp_path, seed=1)
    with pytest.raises(CheckpointError, match="another recipe, teacher;"):
        train(tiny_net(), toy_data(), replace(PLAIN, lr=0.1), tmp_path, seed=0, teacher=tiny_net(1))


def test_sigterm_saves_and_the_next_call_continues(tmp_path: Path) -> None:
    def terminate(done: int, total: int, note: str) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with on_sigterm() as asked:
        control = Control(stop=asked)
        arguments = (tiny_net(), toy_data(), PLAIN, tmp_path)
        with pytest.raises(TrainingStopped, match="step 3 of 5"):
            train(*arguments, seed=0, progress=terminate, control=control)
    assert signal.getsignal(signal.SIGTERM) == before
    steps: list[int] = []
    train(
        tiny_net(),
        toy_data(),
        PLAIN,
        tmp_path,
        seed=0,
        progress=lambda done, total, note: steps.append(done),
    )
    assert steps == [4, 5, 5]


def test_weight_decay_spares_batch_norm_and_biases(tmp_path: Path) -> None:
    def losses(images: Tensor, labels: Tensor, step: int) -> Iterator[Tensor]:
        yield sum(p.sum() for p in model.parameters()) * 0  # type: ignore[misc]

    model = tiny_net()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    run(task(model, losses, replace(PLAIN, weight_decay=0.1)), tmp_path, silent, DEFAULTS)
    for name, parameter in model.named_parameters():
        shrunk = parameter.norm() < before[name].norm()
        assert bool(shrunk) == (parameter.ndim > 1), name
