"""What is particular to OpenVINO: the precision it really computes in, and its threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from profiler import machine
from profiler.backend import BackendError, load
from profiler.backends.openvino import DEVICE, runtime, settings
from profiler.graphs import block_model
from profiler.graphs_roof import gemm_model
from supernet.shapes import BlockShape

pytestmark = pytest.mark.skipif(
    load("openvino").unavailable() is not None, reason="openvino is not installed"
)
BLOCK = BlockShape(14, 2, "projection", 60, 17, 32, 64)


def layers(model: bytes, kind: str) -> list[dict[str, str]]:
    """What the runtime says of the layers of a kind in the graph that it really runs."""
    core = runtime().Core()
    compiled: Any = core.compile_model(core.read_model(model), DEVICE, settings(1))
    facts = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    wanted = ("layerType", "runtimePrecision", "outputPrecisions")
    found = [{name: one[name].astype(str) for name in wanted if name in one} for one in facts]
    return [one for one in found if one["layerType"] == kind]


def test_fp32_is_never_computed_in_bfloat16() -> None:
    found = layers(block_model(BLOCK, 1), "Convolution")
    assert len(found) == 4
    assert {one["runtimePrecision"] for one in found} == {"f32"}


def test_every_int8_convolution_reads_and_writes_integers() -> None:
    found = layers(block_model(BLOCK, 1, "int8"), "Convolution")
    assert len(found) == 4
    assert {one["runtimePrecision"] for one in found} <= {"u8", "i8"}
    assert {one["outputPrecisions"] for one in found} <= {"u8", "i8"}


def test_the_int8_matrix_product_is_one_of_integers() -> None:
    (found,) = layers(gemm_model(64, "int8"), "FullyConnected")
    assert found["runtimePrecision"] in {"u8", "i8"}


def test_the_record_names_precision_threads_and_pinning() -> None:
    details = load("openvino").target("fp32", 1, 2).details
    assert details["inference_precision_hint"] == "f32"
    assert details["inference_num_threads"] == "2"
    assert details["enable_cpu_pinning"] == "False"


def test_a_run_leaves_the_calling_thread_on_its_cores() -> None:
    plugin, before = load("openvino"), machine.affinity()
    plugin.block(BLOCK, plugin.target("fp32", 1, 1))(3)
    if not before:
        pytest.skip("this system has no affinity")
    os.sched_setaffinity(0, before[-1:])
    try:
        plugin.block(BLOCK, plugin.target("fp32", 1, 1))(3)
        assert machine.affinity() == before[-1:]
    finally:
        os.sched_setaffinity(0, before)


def test_more_threads_than_it_would_really_use_are_refused() -> None:
    plugin, threads = load("openvino"), (os.cpu_count() or 1) + 1
    with pytest.raises(BackendError, match=f"threads must be at most .*, but got {threads}"):
        plugin.block(BLOCK, plugin.target("fp32", 1, threads))


def test_importing_it_sends_no_usage_statistics(tmp_path: Path) -> None:
    code = (
        "from profiler.backend import load; import sys; assert not load('openvino').unavailable();"
        "sys.exit(any('openvino_telemetry' in name for name in sys.modules))"
    )
    # some variables of a CI would switch the statistics off anyway
    environment = {"HOME": str(tmp_path), "PATH": os.environ.get("PATH", "")}
    done = subprocess.run([sys.executable, "-c", code], check=False, env=environment)
    assert done.returncode == 0
    assert not list(tmp_path.iterdir())
