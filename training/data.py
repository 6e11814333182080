"""`load`: a named dataset as disjoint training, search-validation and test images.

The search-validation images are cut from the *training* data, so that neither the search nor the
capacity check ever looks at the test images. To add a dataset, put a file into
`training/datasets/` with a class `Plugin` of the `Dataset` protocol.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

import training.datasets
from training.images import DataError, ImageSet, MemorySet, Subset, resized


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a dataset is asked for.

    Attributes:
        path: file or folder of the data; None for where the dataset usually lies.
        resolution: side of the square images in pixels.
        channels: 1 or 3.
        seed: of a split that the dataset does not come with.
        download: may be fetched into `path`.
    """

    path: Path | None
    resolution: int
    channels: int
    seed: int
    download: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A dataset as it comes: training and test images, and the sha256 of both."""

    train: ImageSet
    test: ImageSet
    fingerprint: str


class Dataset(Protocol):
    """One dataset."""

    summary: str

    def unavailable(self, path: Path | None) -> str | None:
        """Why it cannot be read (or, from `path` None, found) here; None if it can."""

    def read(self, request: Request) -> Source:
        """Reads it.

        Raises:
            DataError: missing or damaged.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What a job trains, searches and tests on.

    Attributes:
        train: images to train on.
        val: search-validation images; part of the dataset's training data, disjoint from `train`.
        test: to be looked at once, at the end.
        fingerprint: sha256 of images and labels and of how they were split.
    """

    name: str
    train: ImageSet
    val: ImageSet
    test: ImageSet
    fingerprint: str

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes


def names() -> list[str]:
    """Names of all datasets in `training/datasets/`, as a job writes them."""
    modules = pkgutil.iter_modules(training.datasets.__path__)
    return sorted(module.name.replace("_", "-") for module in modules)


def dataset(name: str) -> Dataset:
    """The dataset called `name`.

    Raises:
        DataError: no such dataset; names the valid choices.
    """
    if name not in names():
        raise DataError(f"dataset must be one of {', '.join(names())}, but got {name!r}")
    module = importlib.import_module(f"training.datasets.{name.replace('-', '_')}")
    plugin: Dataset = module.Plugin()
    return plugin


def load(
    name: str,
    *,
    resolution: int,
    channels: int,
    path: Path | None = None,
    val_size: float = 0.2,
    limit: int | None = None,
    seed: int = 0,
    download: bool = False,
) -> Data:
    """Reads a dataset and cuts it into `Data`.

    Args:
        val_size: search-validation images: a share of the training data if below 1, else a count.
        limit: train on only that many of the rest.
        seed: of the stratified splits.

    Raises:
        DataError: no such dataset, data missing or damaged, or a split that cannot be made.
    """
    request = Request(
        path=path, resolution=resolution, channels=channels, seed=seed, download=download
    )
    source = dataset(name).read(request)
    train, val = split(source.train.labels, val_size, seed)
    if limit is not None and limit < len(train):
        train = train[split(source.train.labels[train], len(train) - limit, seed)[0]]
    parts = [source.fingerprint, f"{resolution}x{channels}"]
    parts += [hashlib.sha256(part.numpy().tobytes()).hexdigest() for part in (train, val)]
    return Data(
        name=name,
        train=Subset(source.train, train),
        val=Subset(source.train, val),
        test=source.test,
        fingerprint=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
    )


def split(labels: Tensor, size: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of two disjoint, shuffled parts with the same shares of classes.

    Args:
        size: of the second part, see `load`.

    Raises:
        DataError: a part would be empty or smaller than the number of classes.
    """
    count = round(size * len(labels)) if size < 1 else int(size)
    classes = len(np.unique(labels.numpy()))
    if not classes <= count <= len(labels) - classes:
        raise DataError(
            f"a stratified part of {count} images needs {classes} <= part <= "
            f"{len(labels) - classes} of {len(labels)} images in {classes} classes"
        )
    try:
        rest, part = train_test_split(
            np.arange(len(labels)), test_size=count, stratify=labels.numpy(), random_state=seed
        )
    except ValueError as error:
        raise DataError(f"images cannot be split by class: {error}") from None
    return torch.from_numpy(rest), torch.from_numpy(part)


def memory_source(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    classes: Sequence[str],
    request: Request,
    *,
    flip: bool,
) -> Source:
    """A source from (uint8 [n, 1 or 3, h, w], int64 [n]) pairs, normalised by the training images.

    Raises:
        DataError: images and labels do not match.
    """
    digest = hashlib.sha256()
    for images, labels in (train, test):
        if len(images) != len(labels) or not len(labels):
            raise DataError(f"{len(images)} images came with {len(labels)} labels")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(classes):
            raise DataError(f"labels must lie in 0..{len(classes) - 1}, but got {low}..{high}")
        digest.update(images.numpy().tobytes() + labels.numpy().tobytes())
    size = {"resolution": request.resolution, "channels": request.channels}
    train_pixels, test_pixels = resized(train[0], **size), resized(test[0], **size)
    scaled = train_pixels.to(torch.float32) / 255
    mean, std = scaled.mean(dim=(0, 2, 3)), scaled.std(dim=(0, 2, 3)).clamp_min(1e-3)
    sets = [
        MemorySet(
            pixels=pixels, labels=labels, classes=tuple(classes), mean=mean, std=std, flip=flip
        )
        for pixels, labels in ((train_pixels, train[1]), (test_pixels, test[1]))
    ]
    return Source(train=sets[0], test=sets[1], fingerprint=digest.hexdigest())
