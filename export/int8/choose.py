"""`calibrated`: a network's file in eight bits by each calibration method, and which is best.

The best is the one whose class probabilities stay nearest to the floating-point file's on images
that calibrated nothing: a smooth measure, where accuracies of a few hundred images would toss a
coin. The test images are nowhere needed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from export.int8.calibration import METHODS, PERCENTILE, Method, ranges
from export.int8.files import quantise
from export.int8.form import Form
from export.int8.judge import Judged, judge
from export.running import logits

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Files by method.

    Attributes:
        files: `<stem>.<method>.onnx` by method.
        judged: each of them on the images that choose.
        best: the method with the least divergence.
    """

    files: dict[Method, Path]
    judged: dict[Method, Judged]
    best: Method


def calibrated(
    source: Path,
    folder: Path,
    form: Form,
    *,
    calibration: Sequence[Floats],
    judging: Iterable[Floats],
    labels: Labels,
    methods: Sequence[Method] = METHODS,
    percentile: float = PERCENTILE,
    keep: Sequence[str] = (),
    reference: Path | None = None,
    threads: int = 0,
    progress: Callable[[str], None] = lambda note: None,
) -> Calibrated:
    """Writes a file per method into `folder`.

    Args:
        calibration: batches of training images, as evaluation sees them.
        judging: batches of other images, which choose, read once per method and once more;
            `labels` are theirs.
        reference: the file in floating point to stay near to; `source` if not given.
        keep: layers that stay in floating point.

    Raises:
        ExportError: see `ranges`, `quantise` and `logits`.
    """
    ideal = logits(reference or source, judging, threads=threads)
    files, judged = {}, {}
    for method in methods:
        progress(method)
        path = folder / f"{source.stem}.{method}.onnx"
        quantise(
            source,
            path,
            ranges(source, calibration, method, percentile=percentile),
            form,
            keep=keep,
        )
        files[method] = path
        judged[method] = judge(ideal, logits(path, judging, threads=threads), labels)
    best = min(methods, key=lambda method: judged[method].divergence)
    return Calibrated(files=files, judged=judged, best=best)
