"""`cifar10`: 60,000 photographs of 32x32 pixels (Krizhevsky 2009), read by torchvision.

torchvision checks the md5 of every file before it reads one.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from training.data import Request, Source, memory_source
from training.images import DataError


class Plugin:
    """See the module."""

    summary = "60,000 photographs in 10 classes, 32x32 colour, from a path or downloaded into it"

    def unavailable(self, path: Path | None) -> str | None:
        """Says which folder is missing."""
        if path is None:
            return "needs a path: the folder that holds cifar-10-batches-py"
        folder = path / "cifar-10-batches-py"
        return None if folder.is_dir() else f"{folder} is missing; allow the download"

    def read(self, request: Request) -> Source:
        """Reads the two parts, fetching them if allowed and needed."""
        from torchvision.datasets import CIFAR10

        missing = self.unavailable(request.path)
        if request.path is None or (missing and not request.download):
            raise DataError(f"cifar10: {missing}")
        try:
            train = CIFAR10(request.path, train=True, download=request.download)
            test = CIFAR10(request.path, train=False, download=request.download)
        except (OSError, RuntimeError) as error:
            raise DataError(f"cifar10: {error}") from None
        return memory_source(_pair(train), _pair(test), train.classes, request, flip=True)


def _pair(part: torch.utils.data.Dataset[object]) -> tuple[Tensor, Tensor]:
    pixels: Tensor = torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous()  # type: ignore[attr-defined]
    labels: Tensor = torch.tensor(part.targets, dtype=torch.int64)  # type: ignore[attr-defined]
    return pixels, labels
