"""What eight bits cost: logits of two files over the same images, side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from scipy.special import log_softmax

from export.onnx_file import ExportError

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One file on labelled images.

    Attributes:
        accuracy: share of images whose highest logit is the label's.
        snr_db: energy of the reference's logits over that of the difference; inf where equal.
        agreement: share of images on which both choose the same class.
        divergence: KL(reference's class probabilities || the file's), mean over images, in nats.
    """

    accuracy: float
    snr_db: float
    agreement: float
    divergence: float


def logits(path: Path, images: Iterable[Floats], *, threads: int = 0) -> Floats:
    """Logits [n, classes] of a file; batches of another size than the file's are padded.

    Args:
        images: batches [b, channels, height, width], b at most the file's batch where it is fixed.
        threads: CPU threads; 0 for the runtime's choice.

    Raises:
        ExportError: the file cannot be run, or gives NaN or infinity.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (entry,) = session.get_inputs()
        size = entry.shape[0]
        parts = []
        for batch in images:
            missing = size - len(batch) if isinstance(size, int) else 0
            padded = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
            parts.append(session.run(None, {entry.name: padded})[0][: len(batch)])
    except Exception as error:  # the runtime's own errors share no narrower base
        raise ExportError(f"{path}: onnxruntime cannot run it: {error}") from error
    if not parts:
        raise ExportError(f"{path}: there are no images to run it on")
    found = np.concatenate(parts)
    if not np.isfinite(found).all():
        raise ExportError(f"{path}: NaN or infinity among its logits")
    return found


def judge(reference: Floats, found: Floats, labels: npt.NDArray[np.int64]) -> Judged:
    """`found` against `reference`, both [n, classes]; labels [n]."""
    chosen = found.argmax(axis=1)
    noise = float(np.square(found - reference, dtype=np.float64).sum())
    signal = float(np.square(reference, dtype=np.float64).sum())
    return Judged(
        accuracy=float((chosen == labels).mean()),
        snr_db=10 * math.log10(signal / noise) if noise and signal else math.inf,
        agreement=float((chosen == reference.argmax(axis=1)).mean()),
        divergence=float((np.exp(_log(reference)) * (_log(reference) - _log(found))).sum(1).mean()),
    )


def _log(values: Floats) -> npt.NDArray[np.float64]:
    """Logarithms of class probabilities."""
    found: npt.NDArray[np.float64] = log_softmax(values.astype(np.float64), axis=1)
    return found
