"""The CUDA backend as far as it can be tested without a device: what it says, and refuses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

from profiler import cuda_device
from profiler.backend import BackendError, load
from profiler.backends.onnxruntime_cuda import ENTRIES, OPTIONS, PROVIDER
from profiler.graphs import block_model
from profiler.ort_session import open_session, session_options
from supernet.shapes import BlockShape

BLOCK = BlockShape(6, 1, "identity", 16, 4, 4, 16)


class Driver:
    """A driver with these devices, called as the real one is."""

    def __init__(self, *devices: bytes) -> None:
        self.devices = devices

    def cuDeviceGetCount(self, count: Any) -> None:
        count._obj.value = len(self.devices)

    def cuDeviceGet(self, device: Any, number: int) -> None:
        device._obj.value = number

    def cuDeviceGetName(self, buffer: Any, size: int, device: Any) -> None:
        buffer.value = self.devices[device.value][: size - 1]

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = 12080
        return 0

    def cuDeviceGetUuid(self, uuid: Any, device: Any) -> int:
        uuid._obj[:] = range(16)
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> None:
        value._obj.value = {75: 9, 76: 0, 16: 132}[attribute]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(b"NVIDIA H100 80GB HBM3", b"NVIDIA A2")
    monkeypatch.setattr(cuda_device, "_driver", lambda: driver)


@pytest.mark.usefixtures("gpus")
def test_the_target_is_the_first_gpu_and_records_the_rest() -> None:
    assert cuda_device.names() == ["NVIDIA H100 80GB HBM3", "NVIDIA A2"]
    target = load("onnxruntime_cuda").target("fp32", 8, 1)
    assert target.device == "NVIDIA H100 80GB HBM3"
    assert target.details["cuda_driver"] == "12.8"
    assert target.details["compute_capability"] == "9.0"
    assert target.details["multiprocessors"] == "132"
    assert target.details["gpu_uuid"] == "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert target.details["use_tf32"] == "0"
    assert all(isinstance(value, str) for value in target.details.values())


@pytest.mark.parametrize("driver", [None, Driver()], ids=["no driver", "no device"])
def test_without_a_device_there_are_no_names_and_no_facts(
    driver: Driver | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_device, "_driver", lambda: driver)
    assert cuda_device.names() == []
    assert cuda_device.facts() == {}
    assert cuda_device.uuid() == ""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [PROVIDER])
    assert load("onnxruntime_cuda").unavailable() == "no CUDA device, or no NVIDIA driver"
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "has no CUDAExecutionProvider" in (load("onnxruntime_cuda").unavailable() or "")


@pytest.mark.skipif(PROVIDER in onnxruntime.get_available_providers(), reason="has the provider")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_that_falls_back_to_the_cpu_is_refused() -> None:
    with pytest.raises(BackendError, match="CUDAExecutionProvider does not start"):
        open_session(block_model(BLOCK, 1), session_options(1, {}), (PROVIDER, OPTIONS), "a block")


def test_weights_of_an_int8_graph_are_folded_once(tmp_path: Path) -> None:
    entries = {key: value for key, value in ENTRIES.items() if "qdq" in key}
    options = session_options(1, entries)
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    open_session(block_model(BLOCK, 1, "int8"), options, ("CPUExecutionProvider", {}), "a block")
    graph = onnx.load(options.optimized_model_filepath).graph
    found = Counter(node.op_type for node in graph.node)
    assert found["Conv"] == 3
    assert found["DequantizeLinear"] == found["QuantizeLinear"] == 4  # of the maps alone
