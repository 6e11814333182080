"""A step as one CUDA graph computes what it does kernel by kernel; `pytest -m gpu`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_toys import RECIPE, TINY, toy_data

from supernet.resnet import ResNet
from training import gradients, scratch
from training.captured import Captured
from training.recipe import Recipe
from training.task import Result, Task

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
RECIPES = {
    "plain": replace(RECIPE, ema=0.0, clip_norm=0.0),
    "averaged and clipped": RECIPE,
    "bf16": replace(RECIPE, bf16=True),
    "mixed": replace(RECIPE, mixup=0.2, cutmix=1.0),
    "hints": replace(RECIPE, hints=1.0),
    "soft": replace(RECIPE, soft_rate=0.3, gamma_l1=1e-4),
}


def net(seed: int = 0) -> ResNet:
    torch.manual_seed(seed)
    return ResNet(TINY, TINY.dense()).cuda()


def trained(recipe: Recipe, folder: Path) -> tuple[ResNet, Result]:
    student = net()
    found = scratch.train(student, toy_data(), recipe, folder, seed=0, teacher=net(1))
    return student, found


@pytest.mark.parametrize("name", RECIPES)
def test_a_graph_learns_what_single_kernels_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.backends.cudnn.deterministic = True
    captures = []

    def counted(*args: object) -> Captured:
        captures.append(1)
        return Captured(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(gradients, "Captured", counted)
    student, found = trained(RECIPES[name], tmp_path / "captured")
    assert captures == [1]

    def singly(**given: object) -> Task:
        return Task(**{**given, "repeats": False})  # type: ignore[arg-type]

    monkeypatch.setattr(scratch, "Task", singly)
    other, wanted = trained(RECIPES[name], tmp_path / "singly")
    assert captures == [1]
    for row, of in zip(found.history, wanted.history, strict=True):
        assert row["loss"] == pytest.approx(of["loss"], rel=1e-3)
    for key, value in other.state_dict().items():
        assert torch.allclose(student.state_dict()[key].float(), value.float(), atol=2e-3), key


def test_capturing_leaves_statistics_alone_and_replays_write_anew() -> None:
    images = torch.randn(16, 1, 8, 8, device="cuda")
    labels = torch.arange(16, device="cuda") % 10
    model, other = net().train(), net().train()

    def losses(of: ResNet):  # type: ignore[no-untyped-def]
        def found(images, labels, step):  # type: ignore[no-untyped-def]
            yield torch.nn.functional.cross_entropy(of(images), labels)

        return found

    graph = Captured(model, losses(model), images, labels)
    for key, value in other.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    assert all(p.grad is None for p in model.parameters())
    for batch in (images, images.flip(0) * 2):
        loss = graph(batch, labels)
        other.zero_grad()
        (wanted,) = losses(other)(batch, labels, 0)
        wanted.backward()
        assert loss == pytest.approx(wanted.item(), rel=1e-4)
        for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
            assert mine.grad is not None
            assert theirs.grad is not None
            assert torch.allclose(mine.grad, theirs.grad, rtol=1e-2, atol=1e-4)
    assert model.state_dict()["bn1.num_batches_tracked"] == 2
