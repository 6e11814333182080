"""`digits`: 1,797 handwritten digits of 8x8 pixels, bundled with scikit-learn.

Bilinearly enlarged to the network's resolution. It comes without a split, so a fifth is cut off
as test images.
"""

from __future__ import annotations

from pathlib import Path

import torch

from training.data import Request, Source, memory_source, split


class Plugin:
    """See the module."""

    summary = "1,797 handwritten digits, 8x8 grey, bundled with scikit-learn"

    def unavailable(self, path: Path | None) -> str | None:
        """Always there."""

    def read(self, request: Request) -> Source:
        """Reads scikit-learn's copy; `path` is not used."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        pixels = torch.from_numpy(bunch.images * (255 / 16)).round().to(torch.uint8)[:, None]
        labels = torch.from_numpy(bunch.target).to(torch.int64)
        train, test = split(labels, 0.2, request.seed)
        return memory_source(
            (pixels[train], labels[train]),
            (pixels[test], labels[test]),
            [str(digit) for digit in range(10)],
            request,
            flip=False,
        )
