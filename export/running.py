"""Running an ONNX file over images with onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

Floats = npt.NDArray[np.float32]


class ExportError(RuntimeError):
    """A network that cannot be exported, or a file that does not compute the same."""


def logits(path: Path, images: Iterable[Floats], *, threads: int = 0) -> Floats:
    """Logits [n, classes] of a file; batches smaller than the file's are padded.

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
        found: Floats = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
    except Exception as error:  # the runtime's own errors share no narrower base
        reason = " ".join(str(error).split())
        raise ExportError(f"{path}: onnxruntime cannot run it: {reason}") from error
    if not parts:
        raise ExportError(f"{path}: there are no images to run it on")
    if not np.isfinite(found).all():
        raise ExportError(f"{path}: NaN or infinity among its logits")
    return found
