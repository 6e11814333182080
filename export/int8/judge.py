"""What eight bits cost: logits of two files over the same images, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

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
