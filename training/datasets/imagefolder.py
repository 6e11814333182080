"""`imagefolder`: `path/train` and `path/val`, one folder a class, as ImageNet is usually laid out.

Images are decoded when a batch asks for them, by a few threads. Normalised by ImageNet's mean and
deviation, so that torchvision's weights can teach.
"""

from __future__ import annotations

import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.datasets import ImageFolder

from training.data import Request, Source
from training.images import DataError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALLEST_CROP = 0.25
KEPT_SIDE = 224 / 256
HASHED_WHOLE = 2**30

Box = tuple[float, float, float, float]


class Plugin:
    """See the module."""

    summary = "any images in path/train/<class>/ and path/val/<class>/"

    def unavailable(self, path: Path | None) -> str | None:
        """Says which folder is missing."""
        if path is None:
            return "needs a path: the folder that holds train/ and val/"
        missing = [part for part in ("train", "val") if not (path / part).is_dir()]
        return f"{path / missing[0]} is missing" if missing else None

    def read(self, request: Request) -> Source:
        """Lists the images; they are decoded later."""
        if (reason := self.unavailable(request.path)) or request.path is None:
            raise DataError(f"imagefolder: {reason}")
        if request.channels not in (1, 3):
            raise DataError(f"imagefolder: channels must be 1 or 3, but got {request.channels}")
        train, test = (FolderSet(request.path / part, request) for part in ("train", "val"))
        if train.classes != test.classes:
            wrong = sorted(set(train.classes) ^ set(test.classes))
            raise DataError(f"imagefolder: classes in only one of train and val: {wrong[:5]}")
        fingerprint = _fingerprint(request.path, train.paths + test.paths)
        return Source(train=train, test=test, fingerprint=fingerprint)


class FolderSet:
    """An `ImageSet` over files."""

    def __init__(self, folder: Path, request: Request) -> None:
        try:
            listing = ImageFolder(folder)
        except (OSError, ValueError) as error:
            raise DataError(f"imagefolder: {error}") from None
        self.classes: tuple[str, ...] = tuple(listing.classes)
        self.paths: list[str] = [path for path, _ in listing.samples]
        self.labels: Tensor = torch.tensor(listing.targets, dtype=torch.int64)
        self._resolution = request.resolution
        self._mode = "L" if request.channels == 1 else "RGB"
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        if request.channels == 1:
            mean, std = mean.mean()[None], std.mean()[None]
        self._mean, self._std = mean[:, None, None], std[:, None, None]

    def __len__(self) -> int:
        return len(self.paths)

    def batch(
        self, indices: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """See `ImageSet.batch`."""
        # All draws happen here, before the threads, whose order is not fixed.
        draws: list[list[float]] | list[None] = [None] * len(indices)
        if generator is not None:
            draws = torch.rand(len(indices), 5, generator=generator).tolist()
        arrays = list(self._pool.map(self._decode, indices.tolist(), draws))
        pixels = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
        images = pixels.to(torch.float32).div_(255).sub_(self._mean).div_(self._std)
        return images, self.labels[indices]

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(min(8, os.cpu_count() or 1), "decode")

    def _decode(
        self, index: int, draws: list[float] | None
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        path = self.paths[index]
        try:
            with Image.open(path) as file:
                image = file.convert(self._mode)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise DataError(f"{path}: {error}") from None
        if draws is None:
            box = centre_box(*image.size, self._resolution)
        else:
            box = random_box(*image.size, draws)
            if draws[4] < 0.5:
                width = image.size[0]
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                box = (width - box[2], box[1], width - box[0], box[3])
        size = (self._resolution, self._resolution)
        array = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
        return array.reshape(*size, -1)


def centre_box(width: int, height: int, resolution: int) -> Box:
    """The central square that evaluation keeps: 224/256 of the shorter side.

    That equals resizing the shorter side and cropping. Images with no more pixels than the
    network wants are not cropped below that.
    """
    side = min(width, height)
    kept = max(side * KEPT_SIDE, min(side, resolution))
    left, top = (width - kept) / 2, (height - kept) / 2
    return left, top, left + kept, top + kept


def random_box(width: int, height: int, draws: list[float]) -> Box:
    """A random crop: area 0.25 to 1 of the image, aspect ratio 3/4 to 4/3 (Szegedy et al. 2015).

    Args:
        draws: area, ratio, left, top, each uniform in [0, 1).
    """
    area = width * height * (SMALLEST_CROP + (1 - SMALLEST_CROP) * draws[0])
    ratio = math.exp((2 * draws[1] - 1) * math.log(4 / 3))
    w, h = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
    left, top = draws[2] * (width - w), draws[3] * (height - h)
    return left, top, left + w, top + h


def _fingerprint(root: Path, paths: list[str]) -> str:
    """sha256 over names and contents; of names and sizes where contents exceed a gigabyte."""
    sizes = [os.path.getsize(path) for path in paths]
    whole = sum(sizes) <= HASHED_WHOLE
    digest = hashlib.sha256()
    for path, size in zip(paths, sizes, strict=True):
        digest.update(f"{Path(path).relative_to(root).as_posix()}\0{size}\n".encode())
        if whole:
            digest.update(Path(path).read_bytes())
    return digest.hexdigest()
