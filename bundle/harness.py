"""A bundle's file under MLPerf's own load generator: MLPerf-style figures, not MLPerf results.

LoadGen (the `mlcommons-loadgen` package) draws the samples, issues the queries and takes the time;
we answer them with ONNX Runtime. SingleStream gives the 90th percentile of the latency of one image
after another, Offline the samples a second of one large query, and the accuracy mode sends every
test image once. Rules that make an MLPerf result (durations, audits, review) are not followed.
"""

from __future__ import annotations

import array
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from bundle.manifest import BundleError
from training.images import ImageSet

Scenario = Literal["single-stream", "offline"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
HELD = 1024
"""Images held in memory for a performance run, as MLPerf's ResNet50 rules have it."""
_RESULTS = {
    "single-stream": ("result_90.00_percentile_latency_ns", "result_qps_without_loadgen_overhead"),
    "offline": ("result_samples_per_second",),
}


@dataclass(slots=True)
class _System:
    """The system under test: answers queries, and keeps the first error for later.

    An exception that leaves a callback would end the process.
    """

    session: Any
    batch: int
    images: ImageSet
    lg: Any
    loaded: dict[int, npt.NDArray[np.float32]] = field(default_factory=dict)
    error: Exception | None = None

    def load(self, indices: Sequence[int]) -> None:
        for start in range(0, len(indices), 256):
            part = list(indices[start : start + 256])
            pixels, _ = self.images.batch(torch.tensor(part))
            self.loaded.update(zip(part, pixels.contiguous().numpy(), strict=True))

    def unload(self, indices: Sequence[int]) -> None:
        for index in indices:
            self.loaded.pop(index, None)

    def issue(self, queries: Sequence[Any]) -> None:
        for start in range(0, len(queries), self.batch):
            self._answer(queries[start : start + self.batch])

    def _answer(self, queries: Sequence[Any]) -> None:
        chosen = array.array("i", [0] * len(queries))
        try:
            if self.error is None:
                chosen = array.array("i", self.classes([self.loaded[q.index] for q in queries]))
        except Exception as error:  # see the class
            self.error = error
        place, _ = chosen.buffer_info()
        self.lg.QuerySamplesComplete(
            [self.lg.QuerySampleResponse(q.id, place + 4 * n, 4) for n, q in enumerate(queries)]
        )

    def classes(self, images: Sequence[npt.NDArray[np.float32]]) -> list[int]:
        """The most likely class of at most a batch of images."""
        missing = self.batch - len(images)
        stacked = np.stack([*images, *[images[-1]] * missing])
        name = self.session.get_inputs()[0].name
        logits = self.session.run(None, {name: stacked})[0][: len(images)]
        return [int(number) for number in logits.argmax(axis=1)]


def drive(
    path: Path,
    images: ImageSet,
    scenario: Scenario,
    folder: Path,
    *,
    batch: int,
    threads: int,
    seconds: float,
    queries: int = 64,
) -> dict[str, Any]:
    """Performance, then accuracy on all images, with LoadGen's logs left in `folder`.

    Args:
        path: an ONNX file for batches of `batch` images; 1 for single-stream.
        seconds: least duration of the performance run; MLPerf's rules ask for 600.
        queries: least number of queries of single-stream; MLPerf's rules ask for 1,024.

    Raises:
        BundleError: LoadGen is not installed, or the file cannot be run.
    """
    lg = _loadgen()
    if scenario == "single-stream" and batch != 1:
        raise BundleError(f"single-stream is one image at a time, but batch is {batch}")
    system = _System(_session(path, threads), batch, images, lg)
    (folder / "performance").mkdir(parents=True, exist_ok=True)
    (folder / "accuracy").mkdir(exist_ok=True)
    settings = lg.TestSettings()
    settings.scenario = getattr(lg.TestScenario, scenario.title().replace("-", ""))
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = int(1000 * seconds)
    settings.min_query_count = queries if scenario == "single-stream" else 1
    # LoadGen makes its queries beforehand, as many as this rate asks for in that time.
    settings.offline_expected_qps = rate = _rate(system)
    settings.single_stream_expected_latency_ns = max(1, int(0.8e9 / rate))
    _run(system, settings, folder / "performance")
    settings.mode = lg.TestMode.AccuracyOnly
    _run(system, settings, folder / "accuracy")
    detail = _detail(folder / "performance" / "mlperf_log_detail.txt")
    return {
        "scenario": scenario,
        "style": "MLPerf-style figures by LoadGen, not an MLPerf result",
        "loadgen": detail.get("loadgen_version"),
        "valid": detail.get("result_validity") == "VALID",
        "reason": detail.get("result_invalid_reason"),
        **{name: detail[name] for name in _RESULTS[scenario] if name in detail},
        "accuracy": _accuracy(folder / "accuracy" / "mlperf_log_accuracy.json", images),
        "n": len(images),
        "batch": batch,
        "threads": threads,
        "seconds": seconds,
        "runtime": f"onnxruntime {onnxruntime.__version__}",
    }


def _loadgen() -> Any:
    try:
        import mlperf_loadgen
    except ImportError:
        raise BundleError("LoadGen is missing: pip install 'stairprune[loadgen]'") from None
    return mlperf_loadgen


def _session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own errors share no narrower base
        raise BundleError(f"{path}: onnxruntime cannot load it: {error}") from None


def _rate(system: _System) -> float:
    """Images a second, roughly."""
    indices = list(range(min(system.batch, len(system.images))))
    system.load(indices)
    images = [system.loaded[index] for index in indices]
    system.classes(images)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < 0.5:
        system.classes(images)
        done += len(images)
    system.unload(indices)
    return done / (time.perf_counter() - start)


def _run(system: _System, settings: Any, folder: Path) -> None:
    lg, count = system.lg, len(system.images)
    output = lg.LogOutputSettings()
    output.outdir, output.copy_summary_to_stdout = str(folder), False
    log = lg.LogSettings()
    log.log_output, log.enable_trace = output, False
    flush: Callable[[], None] = lambda: None  # noqa: E731
    under_test = lg.ConstructSUT(system.issue, flush)
    library = lg.ConstructQSL(count, min(count, HELD), system.load, system.unload)
    try:
        lg.StartTestWithLogSettings(under_test, library, settings, log, "none")
    finally:
        lg.DestroyQSL(library)
        lg.DestroySUT(under_test)
    if system.error is not None:
        raise BundleError(f"onnxruntime failed under load: {system.error}") from system.error


def _detail(path: Path) -> dict[str, Any]:
    """Values by key of a detailed log: lines of `:::MLLOG {...}`."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(":::MLLOG "):
            entry = json.loads(line.removeprefix(":::MLLOG "))
            found[entry["key"]] = entry["value"]
    return found


def _accuracy(path: Path, images: ImageSet) -> float:
    """Share of the images whose logged class is their label; each must be there once."""
    labels = images.labels.numpy()
    chosen = {
        entry["qsl_idx"]: int(np.frombuffer(bytes.fromhex(entry["data"]), np.int32)[0])
        for entry in json.loads(path.read_text(encoding="utf-8"))
    }
    if len(chosen) != len(labels):
        raise BundleError(f"LoadGen asked for {len(chosen)} of {len(labels)} images")
    return sum(int(labels[index]) == found for index, found in chosen.items()) / len(labels)
