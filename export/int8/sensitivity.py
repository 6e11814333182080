"""How much each layer loses by eight bits: one at a time in integers, all others in floats."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnxruntime.quantization.calibrate import TensorsData

from export.int8.files import convolutions, quantise
from export.int8.form import Form
from export.int8.judge import judge
from export.running import logits

Floats = npt.NDArray[np.float32]


def sensitivity(
    source: Path,
    found: TensorsData,
    form: Form,
    batches: Sequence[Floats],
    *,
    threads: int = 0,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> dict[str, float]:
    """Signal-to-noise ratio of the logits in dB by layer, the most sensitive layer first.

    Args:
        found: ranges of `export.int8.calibration.ranges`.
        batches: images; a hundred tell the order.

    Raises:
        ExportError: see `quantise` and `logits`.
    """
    reference = logits(source, batches, threads=threads)
    labels = reference.argmax(axis=1).astype(np.int64)
    layers = convolutions(source)
    ratios = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (layer, node) in enumerate(layers.items(), 1):
            path = Path(folder) / "one.onnx"
            quantise(source, path, found, form, only=[node])
            alone = logits(path, batches, threads=threads)
            ratios[layer] = judge(reference, alone, labels).snr_db
            progress(number, len(layers), f"{layer}: {ratios[layer]:.1f} dB")
    return dict(sorted(ratios.items(), key=lambda item: item[1]))
