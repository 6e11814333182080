"""Distillation losses against hand computations."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import distillation_loss, soft_loss


def test_distillation_by_hand() -> None:
    student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    hard = math.log(1 + math.exp(-2.0))  # label 0
    t = [1 / (1 + math.exp(2.0)), 1 / (1 + math.exp(-2.0))]  # teacher at T = 2
    s = [1 / (1 + math.exp(-1.0)), 1 / (1 + math.exp(1.0))]  # student at T = 2
    kl = sum(p * math.log(p / q) for p, q in zip(t, s, strict=True))
    loss = distillation_loss(
        student, torch.tensor([0]), teacher, alpha=0.3, temperature=2.0, label_smoothing=0.0
    )
    assert loss.item() == pytest.approx(0.7 * hard + 0.3 * 4 * kl, rel=1e-6)


def test_label_smoothing_by_hand() -> None:
    loss = distillation_loss(
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([0]),
        None,
        alpha=1.0,
        temperature=1.0,
        label_smoothing=0.2,
    )
    log_p = [-math.log(1 + math.exp(-1.0)), -math.log(1 + math.exp(1.0))]
    assert loss.item() == pytest.approx(-(0.9 * log_p[0] + 0.1 * log_p[1]), rel=1e-6)


def test_equal_logits_cost_nothing_and_the_teacher_gets_no_gradient() -> None:
    logits = torch.randn(4, 10, generator=torch.Generator().manual_seed(0))
    student, teacher = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = soft_loss(student, teacher, 4.0)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    (soft_loss(student, teacher + 1.0 * torch.arange(10), 4.0)).backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


def test_gradient_size_hardly_depends_on_temperature() -> None:
    teacher = torch.randn(8, 10, generator=torch.Generator().manual_seed(1)) * 0.1
    sizes = []
    for temperature in (2.0, 8.0):
        student = torch.zeros(8, 10, requires_grad=True)
        soft_loss(student, teacher, temperature).backward()  # type: ignore[no-untyped-call]
        assert student.grad is not None
        sizes.append(student.grad.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)
