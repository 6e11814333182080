"""`fashion-mnist`: 70,000 pieces of clothing of 28x28 pixels (Xiao et al. 2017), as idx files.

Found where Debian's package `dataset-fashion-mnist` puts them, or under `path`.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.data import Request, Source, memory_source
from training.images import DataError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
CLASSES = "top,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,boot"
FILES = [
    f"{part}-{kind}-ubyte.gz"
    for part in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
]


class Plugin:
    """See the module."""

    summary = "70,000 pieces of clothing, 28x28 grey, from Debian's dataset-fashion-mnist or a path"

    def unavailable(self, path: Path | None) -> str | None:
        """Says where the files were looked for."""
        if _folder(path) is not None:
            return None
        return (
            f"no {FILES[0]} and its three companions in {path or DEBIAN}; install Debian's package "
            "dataset-fashion-mnist, or give a path and allow the download"
        )

    def read(self, request: Request) -> Source:
        """Reads the four files, fetching them with torchvision if allowed and needed."""
        if _folder(request.path) is None and request.download and request.path is not None:
            from torchvision.datasets import FashionMNIST

            FashionMNIST(request.path, download=True)
        folder = _folder(request.path)
        if folder is None:
            raise DataError(f"fashion-mnist: {self.unavailable(request.path)}")
        train_images, train_labels, test_images, test_labels = (
            read_idx(folder / name) for name in FILES
        )
        return memory_source(
            (train_images[:, None], train_labels.to(torch.int64)),
            (test_images[:, None], test_labels.to(torch.int64)),
            CLASSES.split(","),
            request,
            flip=True,
        )


def read_idx(path: Path) -> Tensor:
    """A gzipped idx file of bytes as a uint8 tensor (format of LeCun's MNIST files).

    Raises:
        DataError: unreadable, another type, or another length than its header says.
    """
    try:
        content = gzip.decompress(path.read_bytes())
        zero, kind, rank = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    except (OSError, EOFError, struct.error) as error:
        raise DataError(f"{path}: {error}") from None
    body = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
    if zero or kind != 8 or len(body) != np.prod(shape, dtype=object):
        raise DataError(f"{path}: not an idx file of {list(shape)} bytes")
    return torch.from_numpy(body.reshape(shape).copy())


def _folder(path: Path | None) -> Path | None:
    candidates = [DEBIAN] if path is None else [path, path / "FashionMNIST" / "raw"]
    whole = (c for c in candidates if all((c / name).is_file() for name in FILES))
    return next(whole, None)
