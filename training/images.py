"""Sets of labelled images, and how they become batches.

An `ImageSet` gives evaluation images unless a generator is passed; then it augments with draws
from that generator alone. Knows nothing of files; see `training/datasets` for those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms


class DataError(ValueError):
    """Data that is missing, damaged, or does not fit what is asked of it."""


class ImageSet(Protocol):
    """Labelled images of one size."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a label is an index into them."""

    @property
    def labels(self) -> Tensor:
        """int64 [n]."""

    def __len__(self) -> int: ...

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Images float32 [b, channels, resolution, resolution], normalised; labels int64 [b].

        Args:
            indices: int64 [b].
            generator: source of the augmentation's draws; None for no augmentation.
        """


@dataclass(frozen=True, slots=True)
class Subset:
    """Some images of a set, in the order of `indices`."""

    base: ImageSet
    indices: Tensor

    @property
    def classes(self) -> tuple[str, ...]:
        return self.base.classes

    @property
    def labels(self) -> Tensor:
        return self.base.labels[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `ImageSet.batch`."""
        return self.base.batch(self.indices[indices], generator)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySet:
    """Images held as bytes, augmented by a random shift and, where classes allow it, a flip.

    Attributes:
        pixels: uint8 [n, channels, resolution, resolution].
        mean, std: float32 [channels], of pixels scaled to [0, 1].
        flip: mirror half of the augmented images.
    """

    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor
    flip: bool

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `ImageSet.batch`; the images are in channels-last memory."""
        pixels = self.pixels[indices]
        if generator is not None:
            pixels = shift_and_flip(pixels, generator, flip=self.flip)
        images = pixels.to(torch.float32).div_(255)
        images = images.sub_(self.mean[:, None, None]).div_(self.std[:, None, None])
        return images.contiguous(memory_format=torch.channels_last), self.labels[indices]


def evaluation_batches(
    images: ImageSet, size: int = 256, limit: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The images (the first `limit`) in order and without augmentation, `size` at a time."""
    count = len(images) if limit is None else min(limit, len(images))
    for start in range(0, count, size):
        yield images.batch(torch.arange(start, min(start + size, count)))


def shift_and_flip(pixels: Tensor, generator: torch.Generator, *, flip: bool) -> Tensor:
    """Moves every image by up to an eighth of its side (as 4 of CIFAR's 32), filling with 0.

    Args:
        pixels: [n, channels, side, side].
        flip: also mirror each image with chance 1/2.
    """
    n, _, side, _ = pixels.shape
    margin = side // 8
    padded = torch.nn.functional.pad(pixels, (margin,) * 4)
    offsets = torch.randint(0, 2 * margin + 1, (2, n, 1), generator=generator)
    rows, columns = offsets + torch.arange(side)
    if flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    picked = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def resized(pixels: Tensor, *, resolution: int, channels: int) -> Tensor:
    """uint8 [n, 1 or 3, h, w] to uint8 [n, channels, resolution, resolution].

    Grey images are repeated, colour images become their luma (ITU-R 601) where one channel is
    asked for; sizes change bilinearly.

    Raises:
        DataError: `channels` is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise DataError(f"images have 1 or 3 channels, but the network asks for {channels}")
    if pixels.shape[1] == 3 and channels == 1:
        pixels = transforms.rgb_to_grayscale(pixels)
    if pixels.shape[-2:] != (resolution, resolution):
        # Chunks, because the resize works on a float copy four times the size of the bytes.
        chunks = torch.split(pixels, 4096)
        size = [resolution, resolution]
        pixels = torch.cat([transforms.resize(chunk, size, antialias=True) for chunk in chunks])
    return pixels.expand(-1, channels, -1, -1).contiguous()
