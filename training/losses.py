"""Losses of distillation. Know nothing of networks or loops."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 times KL(teacher at T || student at T), averaged over the batch.

    T^2 keeps the gradient's size independent of T (Hinton et al. 2015, section 2).

    Args:
        student: logits [n, classes].
        teacher: logits [n, classes]; no gradient flows into them.
    """
    target = functional.log_softmax(teacher.detach() / temperature, dim=1)
    guess = functional.log_softmax(student / temperature, dim=1)
    divergence = functional.kl_div(guess, target, reduction="batchmean", log_target=True)
    return divergence * temperature**2


def distillation_loss(
    student: Tensor,
    labels: Tensor,
    teacher: Tensor | None,
    *,
    alpha: float,
    temperature: float,
    label_smoothing: float,
) -> Tensor:
    """(1 - alpha) * cross entropy + alpha * `soft_loss`; without a teacher the cross entropy alone.

    Args:
        student: logits [n, classes].
        labels: int64 [n].
        teacher: logits [n, classes] or None.
    """
    hard = functional.cross_entropy(student, labels, label_smoothing=label_smoothing)
    if teacher is None:
        return hard
    return (1 - alpha) * hard + alpha * soft_loss(student, teacher, temperature)
