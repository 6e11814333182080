"""`TensorRT`: the module `tensorrt` as far as this package uses it; see `profiler.trt.api`."""

from __future__ import annotations

from typing import Protocol, overload

import numpy as np
import numpy.typing as npt

from profiler.trt import api


class TensorRT(Protocol):
    """Members of the module, under its own names."""

    __version__: str
    float32: api.DataType
    float16: api.DataType
    int8: api.DataType

    ILogger: type[api.ILogger]
    ActivationType: api.ActivationType
    BuilderFlag: api.BuilderFlag
    ElementWiseOperation: api.ElementWiseOperation
    LayerInformationFormat: api.LayerInformationFormat
    MatrixOperation: api.MatrixOperation
    MemoryPoolType: api.MemoryPoolType
    NetworkDefinitionCreationFlag: api.NetworkDefinitionCreationFlag
    PoolingType: api.PoolingType
    ProfilingVerbosity: api.ProfilingVerbosity
    ReduceOperation: api.ReduceOperation
    TensorFormat: api.TensorFormat
    TensorIOMode: api.TensorIOMode

    def Builder(self, logger: api.ILogger) -> api.Builder: ...

    def OnnxParser(
        self, network: api.INetworkDefinition, logger: api.ILogger
    ) -> api.OnnxParser: ...

    def Runtime(self, logger: api.ILogger) -> api.Runtime: ...

    @overload
    def Weights(self, type: api.DataType, /) -> api.Weights: ...

    @overload
    def Weights(self, a: npt.NDArray[np.generic], /) -> api.Weights: ...
