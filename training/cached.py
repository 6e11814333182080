"""A teacher's logits of all training images, computed once and read from a file afterwards.

They are those of images without augmentation, so a recipe that crops, mirrors or mixes cannot use
them: such images never repeat. In exchange a large teacher costs one pass instead of one an epoch.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from supernet.estimate import weights_hash
from training.data import Data
from training.images import ImageSet, evaluation_batches
from training.recipe import Recipe, RecipeError


@dataclass(frozen=True, slots=True)
class Numbered:
    """An image set whose labels are the numbers of its images."""

    base: ImageSet

    @property
    def classes(self) -> tuple[str, ...]:
        return self.base.classes

    @property
    def labels(self) -> Tensor:
        return torch.arange(len(self.base))

    def __len__(self) -> int:
        return len(self.base)

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `ImageSet.batch`."""
        return self.base.batch(indices, generator)[0], indices


@dataclass(frozen=True, slots=True)
class Cached:
    """Logits float32 [n, classes] of the training images, on disk, and their labels."""

    logits: np.memmap[tuple[int, int], np.dtype[np.float32]]
    labels: Tensor

    def of(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Labels and logits of these images, on the device of `numbers`."""
        chosen = torch.from_numpy(np.asarray(self.logits[numbers.cpu().numpy()]))
        return self.labels[numbers.cpu()].to(numbers.device), chosen.to(numbers.device)


def cached(teacher: nn.Module, data: Data, recipe: Recipe, folder: Path) -> Cached:
    """Reads the file for this teacher and these images, or computes and writes it.

    Raises:
        RecipeError: the recipe changes images, or needs the teacher itself.
    """
    for name in ("augment", "mixup", "cutmix", "hints"):
        if getattr(recipe, name):
            raise RecipeError(
                f"cached teacher logits need {name} off: they are of unchanged images alone"
            )
    inputs = f"{weights_hash(teacher)} {data.fingerprint}"
    name = hashlib.sha256(inputs.encode()).hexdigest()[:16]
    path = folder / f"teacher-{name}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(teacher, data.train, path)
    logits = np.load(path, mmap_mode="r", allow_pickle=False)
    return Cached(logits, data.train.labels)


@torch.no_grad()
def _write(teacher: nn.Module, images: ImageSet, path: Path) -> None:
    device = next(teacher.parameters()).device
    teacher.eval()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    parts = [teacher(batch.to(device)).float().cpu() for batch, _ in evaluation_batches(images)]
    with temporary.open("wb") as file:
        np.save(file, torch.cat(parts).numpy(), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
