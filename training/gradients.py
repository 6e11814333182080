"""`Gradients`: those of a batch, part by part and process by process, and again if memory runs out.

Which part of a batch holds which images, and how they are augmented, depends on the number of
parts alone: one process with two parts learns from the same as two processes with one each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.captured import Captured
from training.errors import TrainingError
from training.mixing import mixed
from training.ranks import Ranks
from training.seeds import generator
from training.task import Task


class Gradients:
    """Gradients of the mean loss over a batch.

    Attributes:
        parts: of a batch, over all processes.
        chunks: pieces of a part that are computed one after the other; 2 after memory ran out.
    """

    def __init__(self, task: Task, ranks: Ranks, device: torch.device) -> None:
        self.task, self.ranks, self.device = task, ranks, device
        self.parts = task.recipe.accumulate * ranks.count
        self.chunks = 1
        self._captured: Captured | None = None
        if self.parts > task.recipe.batch:
            raise TrainingError(
                f"batch {task.recipe.batch} is less than {ranks.count} processes times accumulate "
                f"{task.recipe.accumulate}; raise batch"
            )

    def add(self, chosen: Tensor, step: int, at: tuple[int, int]) -> float:
        """Leaves the gradients of a batch, of all processes, in `.grad`; returns the mean loss.

        Running statistics of batch norm end as the mean over processes.

        Args:
            chosen: int64 [batch], the images.
            at: epoch and index of the batch in it.

        Raises:
            TrainingError: out of memory even at half of a part.
        """
        self.task.model.train()
        loss = self._own(chosen, step, at)
        if self.ranks.count == 1:
            return loss
        total = torch.tensor([loss], device=self.device)
        model = self.task.model
        means = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        for buffer in means:
            buffer.div_(self.ranks.count)
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        self.ranks.sum([total, *grads, *means])
        return float(total.item())

    def _own(self, chosen: Tensor, step: int, at: tuple[int, int]) -> float:
        pieces = chosen.tensor_split(self.parts)
        mine = range(self.ranks.rank, self.parts, self.ranks.count)
        while True:
            try:
                return sum(
                    self._part(pieces[part], len(pieces[part]) / len(chosen), step, (*at, part))
                    for part in mine
                )
            except torch.OutOfMemoryError as error:
                if self.chunks > 1 or len(pieces[0]) < 4:
                    raise TrainingError(
                        f"out of memory even at half of {len(pieces[0])} images; lower batch or "
                        f"raise accumulate: {error}"
                    ) from None
            self.chunks, self._captured = 2, None
            for parameter in self.task.model.parameters():
                parameter.grad = None

    def _part(self, chosen: Tensor, share: float, step: int, at: tuple[int, int, int]) -> float:
        """Adds the gradients of a part with its share of the batch; returns that of the loss."""
        task = self.task
        draws = None
        if task.recipe.augment:
            numbers = at if self.parts > 1 else at[:2]
            draws = generator("augment", task.seed, *numbers)
        images, labels = task.images.batch(chosen, draws)
        images, labels = mixed(
            images, labels, task.recipe, len(task.images.classes), task.seed, *at
        )
        images = images.to(self.device, memory_format=torch.channels_last)
        labels = labels.to(self.device)
        if task.repeats and self.device.type == "cuda" and self.parts == self.chunks == 1:
            if self._captured is None:
                self._captured = Captured(task.model, task.losses, images, labels)
            return self._captured(images, labels)
        total = 0.0
        for some, target in zip(images.chunk(self.chunks), labels.chunk(self.chunks), strict=True):
            weight = share * len(some) / len(images)
            for number, loss in enumerate(task.losses(some, target, step)):
                (loss * weight).backward()  # type: ignore[no-untyped-call]
                total += loss.item() * weight if number == 0 else 0.0
        return total
