"""All images in the device's memory, augmented there; tiny networks would wait for files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from supernet.network import NetworkSpec
from training.data import Data, Request, dataset, split
from training.images import MemorySet, Subset

NORMAL = {
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # ImageNet's
    1: ((0.286,), (0.353,)),  # Fashion-MNIST's
}
"""Mean and standard deviation of pixels in [0, 1], by number of channels."""
LEAST = 0.5
"""Smallest side of a crop, as a share of the image's."""


def pack(folder: Path, target: Path) -> None:
    """Decodes `folder/train` and `folder/val`, one folder a class, into one .npz file."""
    arrays: dict[str, Any] = {}
    classes = sorted(path.name for path in (folder / "train").iterdir())
    for part in ("train", "val"):
        files = [
            (file, label)
            for label, name in enumerate(classes)
            for file in sorted((folder / part / name).rglob("*.JPEG"))
        ]
        arrays[f"{part}_images"] = np.stack(
            [np.asarray(Image.open(file).convert("RGB")) for file, _ in files]
        )
        arrays[f"{part}_labels"] = np.array([label for _, label in files], dtype=np.int64)
    np.savez(target, classes=np.array(classes), allow_pickle=False, **arrays)


def pack_named(
    name: str, network: NetworkSpec, target: Path, *, path: Path | None = None, seed: int = 0
) -> None:
    """A data set of `training/datasets` that is held in memory, as such a file for a network."""
    side, channels = network.resolution, network.channels
    request = Request(path=path, resolution=side, channels=channels, seed=seed)
    source = dataset(name).read(request)
    assert isinstance(source.train, MemorySet)
    assert isinstance(source.test, MemorySet)
    arrays = {"classes": np.array(source.train.classes)}
    for part, found in (("train", source.train), ("val", source.test)):
        arrays[f"{part}_images"] = found.pixels.permute(0, 2, 3, 1).numpy()
        arrays[f"{part}_labels"] = found.labels.numpy()
    np.savez(target, allow_pickle=False, **arrays)


class DeviceSet:
    """An `ImageSet` on a device: random crops of up to a quarter of the area, and flips."""

    def __init__(
        self, pixels: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], device: str
    ) -> None:
        self.classes, self.labels = classes, torch.from_numpy(labels)
        self._pixels = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device)
        mean, std = NORMAL[pixels.shape[-1]]
        self._mean = torch.tensor(mean, device=device)[:, None, None]
        self._std = torch.tensor(std, device=device)[:, None, None]

    def __len__(self) -> int:
        return len(self.labels)

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `training.images.ImageSet`."""
        pixels = self._pixels[indices.to(self._pixels.device)].float().div_(255)
        images = (pixels - self._mean) / self._std
        if generator is not None:
            images = _cropped(images, torch.rand(len(indices), 4, generator=generator))
        return images.contiguous(memory_format=torch.channels_last), self.labels[indices]


def _cropped(images: Tensor, draws: Tensor) -> Tensor:
    """Random crops, flipped as often as not; draws uniform [n, 4]."""
    drawn = draws.to(images.device)
    side = LEAST + (1 - LEAST) * drawn[:, 0]
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = side * torch.where(drawn[:, 1] < 0.5, -1.0, 1.0)
    theta[:, 1, 1] = side
    theta[:, :, 2] = (1 - side)[:, None] * (2 * drawn[:, 2:] - 1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def read(
    packed: Path, device: str, validation: int, seed: int = 0, name: str = "tiny-imagenet-20"
) -> Data:
    """Training images without `validation` of them, those, and the test images (`val` on disk)."""
    file = np.load(packed)
    classes = tuple(str(name) for name in file["classes"])
    train = DeviceSet(file["train_images"], file["train_labels"], classes, device)
    test = DeviceSet(file["val_images"], file["val_labels"], classes, device)
    kept, held = split(train.labels, validation, seed)
    return Data(
        name=name,
        train=Subset(train, kept),
        val=Subset(train, held),
        test=test,
        fingerprint=f"{len(kept)} {len(held)} {len(test)} seed {seed}",
    )
