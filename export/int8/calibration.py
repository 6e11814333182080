"""Ranges of every map of an ONNX file over calibration images, by three classic methods.

`max` covers all values that were seen; `percentile` cuts a fixed share of the largest off;
`entropy` cuts where the distribution loses the least information, see `export.int8.entropy`. What
is seen is collected by onnxruntime, few images at a time so that memory stays bounded.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator

from export.int8.entropy import folded, threshold
from export.onnx_file import INPUT, ExportError

Floats = npt.NDArray[np.float32]
Method = Literal["max", "percentile", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)

KINDS = {
    "max": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
PERCENTILE = 99.99
"""The best single choice over networks in Wu et al. 2020 (arXiv 2004.09602, table 5)."""
BINS = 1024


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Batches of images, one call each."""

    def __init__(self, batches: Iterable[Floats]) -> None:
        self._left: Iterator[Floats] = iter(batches)

    def get_next(self) -> dict[str, Floats] | None:
        found = next(self._left, None)
        return None if found is None else {INPUT: found}


def ranges(
    source: Path, batches: Iterable[Floats], method: Method, *, percentile: float = PERCENTILE
) -> TensorsData:
    """What every map of the network spans.

    Args:
        source: an ONNX file as `export.onnx_file.export` writes it.
        batches: images [b, channels, height, width], b the file's batch.
        percentile: of the method with this name: per cent of the values inside, of both ends.

    Raises:
        ExportError: the file cannot be run, or there are no images.
    """
    options: dict[str, Any] = {"num_bins": BINS}
    if method == "percentile":
        options["percentile"] = percentile
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        try:
            collector = create_calibrator(
                source,
                augmented_model_path=str(Path(folder) / "augmented.onnx"),
                calibrate_method=KINDS[method],
                extra_options=options,
            )
            seen = 0
            for batch in batches:
                collector.collect_data(_Reader([batch]))
                seen += len(batch)
            if not seen:
                raise ValueError("there are no images")
            if method == "entropy":
                return _least_loss(collector.collector.get_histogram_dict())
            return collector.compute_data()
        except Exception as error:  # the runtime's own errors share no narrower base
            raise ExportError(f"{source}: cannot be calibrated: {error}") from error


def _least_loss(histograms: Mapping[str, tuple[Any, ...]]) -> TensorsData:
    """Ranges from (counts, edges, lowest, highest, ...) by tensor; bins are centred at zero."""
    found = {}
    for name, (counts, edges, lowest, highest, *_) in histograms.items():
        magnitudes = folded(counts)
        most = edges[-1] * (threshold(magnitudes) / len(magnitudes))
        low, high = (np.float32(np.clip(end, -most, most)) for end in (lowest, highest))
        found[name] = (low, high, counts, edges)
    return TensorsData(CalibrationMethod.Entropy, found)
