"""A strict stand-in for the running half of TensorRT, which needs a GPU.

It has the members that `profiler.trt.api` declares and no others, and behaves as TensorRT's
documentation says: what is wrong is answered by None or False and a message to the logger.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from profiler.trt import api
from profiler.trt.module import TensorRT

PLAN = b"a plan"
REPORT = {
    "Layers": [
        {"Name": "Reformatting CopyNode for Input Tensor 0", "LayerType": "Reformat"},
        {
            "Name": "piece0/conv1 + piece0/relu1",
            "LayerType": "CaskConvolution",
            "TacticName": "sm80_xmma_fprop_implicit_gemm_tilesize128x64x32_stage3",
        },
    ],
    "Bindings": ["input", "output"],
}
TENSORS: dict[str, dict[str, Any]] = {
    "input": {"mode": "INPUT", "type": "HALF", "shape": (2, 37, 4, 4), "format": "HWC8", "by": 8},
    "output": {"mode": "OUTPUT", "type": "FLOAT", "shape": (2, 5), "format": "LINEAR", "by": 1},
}


class Name:
    """A member of an enumeration; printed as TensorRT's are."""

    def __init__(self, kind: str, name: str) -> None:
        self.text = f"{kind}.{name}"

    def __str__(self) -> str:
        return self.text


def enumeration(kind: str, *names: str) -> Any:
    return SimpleNamespace(**{name: Name(kind, name) for name in names})


class Logger:
    """`ILogger`."""

    Severity = enumeration("Severity", "INTERNAL_ERROR", "ERROR", "WARNING")

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class Context:
    """`IExecutionContext`: takes aligned addresses of its tensors; runs once all are bound."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in TENSORS or memory % 256:
            return self.fake.refused(f"no such tensor or address: {name}")
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        if missing := set(TENSORS) - set(self.addresses):
            return self.fake.refused(f"addresses missing: {sorted(missing)}")
        self.fake.runs.append(stream_handle)
        return True


class Inspector:
    """`EngineInspector`."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def get_engine_information(self, format: Any) -> str:
        assert format is self.fake.LayerInformationFormat.JSON
        return json.dumps(REPORT)


class Engine:
    """`ICudaEngine`."""

    num_io_tensors = len(TENSORS)

    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def get_tensor_name(self, index: int) -> str:
        return list(TENSORS)[index]

    def get_tensor_mode(self, name: str) -> Any:
        return getattr(self.fake.TensorIOMode, TENSORS[name]["mode"])

    def get_tensor_dtype(self, name: str) -> Any:
        kind = self.fake.changed.get("type", TENSORS[name]["type"])
        return getattr(self.fake.DataType, kind)

    def get_tensor_shape(self, name: str) -> Sequence[int]:
        return cast(Sequence[int], TENSORS[name]["shape"])

    def get_tensor_format(self, name: str) -> Any:
        return getattr(self.fake.TensorFormat, TENSORS[name]["format"])

    def get_tensor_vectorized_dim(self, name: str) -> int:
        return 1 if TENSORS[name]["by"] > 1 else -1

    def get_tensor_components_per_element(self, name: str) -> int:
        # TensorRT says -1 where nothing is packed
        return TENSORS[name]["by"] if TENSORS[name]["by"] > 1 else -1

    def create_execution_context(self) -> Context | None:
        if "context" in self.fake.changed:
            self.fake.refused("out of memory")
            return None
        return Context(self.fake)

    def create_engine_inspector(self) -> Inspector | None:
        return None if "inspector" in self.fake.changed else Inspector(self.fake)


class Runtime:
    """`Runtime`."""

    def __init__(self, fake: Fake, logger: Any) -> None:
        self.fake = fake
        fake.logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None:
        if serialized_engine != PLAN:
            self.fake.refused("magic tag does not match")
            return None
        return Engine(self.fake)


class Fake:
    """The module; `changed` makes it fail: type, context, inspector."""

    __version__ = "11.4.0.106"
    ILogger = Logger
    DataType = enumeration("DataType", "FLOAT", "HALF", "INT8", "BF16")
    TensorFormat = enumeration("TensorFormat", "LINEAR", "HWC8")
    TensorIOMode = enumeration("TensorIOMode", "INPUT", "OUTPUT")
    LayerInformationFormat = enumeration("LayerInformationFormat", "JSON")
    float32, float16, int8 = DataType.FLOAT, DataType.HALF, DataType.INT8

    def __init__(self, **changed: str) -> None:
        self.changed = changed
        self.logger: Any = None
        self.runs: list[int] = []

    def Runtime(self, logger: Any) -> Runtime:
        return Runtime(self, logger)

    def refused(self, why: str) -> bool:
        self.logger.log(Logger.Severity.WARNING, "not an error")
        self.logger.log(Logger.Severity.ERROR, why)
        return False


def module(fake: Fake) -> TensorRT:
    """The fake, as what it stands for."""
    return cast(TensorRT, fake)


def _typed(fake: Fake) -> tuple[api.ICudaEngine, api.IExecutionContext, api.EngineInspector]:
    """Never called: mypy holds the classes to the protocols."""
    return Engine(fake), Context(fake), Inspector(fake)
