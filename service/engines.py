"""TensorRT engines to keep, of exported ONNX files or of configs: `stairprune engine build`.

An ONNX file has trained weights, and its own types. A config alone has random weights: good for
timing it, and for nothing else.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from export.half import halve
from profiler import cuda_device
from profiler.backend import BackendError
from profiler.lock import measuring
from profiler.trt import networks, plan_file
from profiler.trt.build import Factory
from profiler.trt.networks import Fill
from profiler.trt.onnx_source import onnx_file
from service.pricing import network_of, read_config
from supernet.network import DEPTHS, NetworkSpec

OF_FILE = ("fp16",)
OF_CONFIG = ("fp32", "fp16", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to build.

    Attributes:
        source: an ONNX file, a bundle's archive, a config file, or the name of a dense network.
        precision: of a config fp32, fp16 or int8; of an fp32 ONNX file fp16; None for what the
            file says, and for a config fp16.
        batch: images of a run: many for throughput (MLPerf's Offline), 1 for latency
            (SingleStream). The engine takes no other.
        resolution: of a config's network, in pixels.
    """

    source: str
    precision: str | None
    batch: int
    resolution: int = 224


def build(request: Request, out: Path, factory: Factory, wait_s: float = 600.0) -> dict[str, Any]:
    """Builds an engine, and writes it with the JSON that says what it is.

    Args:
        factory: see `factory_here`.
        wait_s: how long to wait for a measurement on the GPU to end: a build would disturb it.

    Returns:
        The path, the SHA-256, the bytes and the facts, as JSON-able data.

    Raises:
        BackendError: a source or precision that cannot be built; with TensorRT's own message.
        ConfigError: a config file that is none.
        HalfError: an ONNX file that cannot be turned into fp16.
    """
    if out.suffix not in plan_file.SUFFIXES:
        raise BackendError(
            f"an engine's name must end with {' or '.join(plan_file.SUFFIXES)}, got {out}"
        )
    devices = cuda_device.names()
    facts = {**cuda_device.facts(), "batch": str(request.batch)}
    if devices:
        facts["device"] = devices[0]
    with tempfile.TemporaryDirectory() as folder, measuring(_lock(devices), wait_s):
        fill, more = _fill(request, Path(folder))
        plan = plan_file.engine_bytes(factory, fill, request.source, {**facts, **more})
    plan_file.save(plan, out)
    return {
        "path": str(out),
        "sha256": plan.sha256,
        "bytes": len(plan.data),
        "facts": dict(sorted(plan.facts.items())),
    }


def factory_here() -> Factory:
    """A builder on this machine's first GPU, with a cache of kernel timings.

    Raises:
        BackendError: no TensorRT or no GPU; says how to install it.
    """
    from profiler.lock import cache_dir
    from profiler.trt import loading
    from profiler.trt.settings import Settings
    from profiler.trt.timing_cache import TimingCache

    trt = loading.load()
    devices = cuda_device.names()
    if not devices:
        raise BackendError("no CUDA device, or no NVIDIA driver")
    cache = TimingCache(
        cache_dir() / "tensorrt",
        # of its own: tables are built at locked clocks, at which other kernels may win
        gpu=f"{devices[0]} {cuda_device.facts().get(cuda_device.UUID, '')}".strip(),
        driver=cuda_device.driver_version(),
        version=trt.__version__,
    )
    return Factory(trt, Settings(), cache=cache)


def _fill(request: Request, folder: Path) -> tuple[Fill, dict[str, str]]:
    path = Path(request.source)
    if path.suffix == ".onnx":
        return _of_file(request, path, folder)
    if path.suffix == ".zip":
        return _of_bundle(request, path, folder)
    precision = _chosen(request.precision or "fp16", OF_CONFIG, "of a config")
    if request.source in DEPTHS:
        network = NetworkSpec(depths=DEPTHS[request.source], resolution=request.resolution)
        config = network.dense()
    else:
        config = read_config(path)
        network = network_of(config, request.resolution)
    facts = {"weights": "random", "precision": precision, "config": str(config.to_json())}
    return networks.whole(network, config, request.batch, precision), facts


def _of_file(request: Request, path: Path, folder: Path) -> tuple[Fill, dict[str, str]]:
    facts = {"weights": "the file's"}
    if request.precision is None:
        return onnx_file(str(path), request.batch), {**facts, **_digest(path)}
    facts["precision"] = _chosen(request.precision, OF_FILE, "of an ONNX file, left out or")
    half = folder / "half.onnx"
    halve(path, half)
    return onnx_file(str(half), request.batch), {**facts, **_digest(path)}


def _of_bundle(request: Request, path: Path, folder: Path) -> tuple[Fill, dict[str, str]]:
    """Of a bundle's fp32 file, as fp16 where that is asked for, or its int8 file."""
    from bundle.engines import onnx_of
    from bundle.reading import opened

    precision = _chosen(request.precision or "fp32", OF_CONFIG, "of a bundle")
    kind = "int8" if precision == "int8" else "fp32"
    with opened(path) as bundle:
        file = onnx_of(bundle, kind, request.batch, folder / "model.onnx")
    wanted = replace(request, precision="fp16" if precision == "fp16" else None)
    fill, facts = _of_file(wanted, file, folder)
    return fill, {**facts, "bundle": path.name}


def _digest(path: Path) -> dict[str, str]:
    try:
        return {"source_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    except OSError as error:
        raise BackendError(f"cannot read the model file: {error}") from None


def _chosen(precision: str, valid: tuple[str, ...], what: str) -> str:
    if precision not in valid:
        raise BackendError(
            f"--precision {what} must be one of {', '.join(valid)}, but got {precision!r}"
        )
    return precision


def _lock(devices: list[str]) -> str:
    """The name under which measurements on this GPU lock it."""
    if not devices:
        return "cpu"
    return f"{devices[0]} {cuda_device.facts().get(cuda_device.UUID, '')}".strip()
