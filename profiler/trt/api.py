"""The classes of TensorRT as far as this package uses them, under TensorRT's own names.

mypy holds our code to these, `None` on failure included, and a test holds these to the bindings of
TensorRT 11.4: a name that is not here cannot be used, and one that TensorRT lacks cannot be here.
Enumerations are classes whose members have their own class. Used for types alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ActivationType(Protocol):
    RELU: ActivationType


class BuilderFlag(Protocol):
    TF32: BuilderFlag


class ElementWiseOperation(Protocol):
    SUM: ElementWiseOperation


class LayerInformationFormat(Protocol):
    JSON: LayerInformationFormat


class MatrixOperation(Protocol):
    NONE: MatrixOperation
    TRANSPOSE: MatrixOperation


class MemoryPoolType(Protocol):
    WORKSPACE: MemoryPoolType


class NetworkDefinitionCreationFlag(Protocol):
    STRONGLY_TYPED: NetworkDefinitionCreationFlag

    def __int__(self) -> int: ...


class PoolingType(Protocol):
    MAX: PoolingType


class ProfilingVerbosity(Protocol):
    DETAILED: ProfilingVerbosity


class ReduceOperation(Protocol):
    AVG: ReduceOperation


class TensorIOMode(Protocol):
    INPUT: TensorIOMode


class TensorFormat(Protocol):
    LINEAR: TensorFormat
    HWC: TensorFormat
    HWC8: TensorFormat
    HWC16: TensorFormat
    CHW32: TensorFormat

    def __int__(self) -> int: ...


class DataType(Protocol):
    """An element type; `float32` and the like are members of the module."""

    FLOAT: DataType
    HALF: DataType
    INT8: DataType


class Severities(Protocol):
    """`ILogger.Severity`; the lower, the worse."""

    ERROR: Severities
    INTERNAL_ERROR: Severities


class ILogger(Protocol):
    """Takes messages; ours derives from it."""

    Severity: Severities

    def log(self, severity: Severities, msg: str) -> None: ...


class Weights(Protocol):
    """Numbers that TensorRT reads where they lie: their array must outlive the build."""

    @property
    def size(self) -> int: ...


class ITensor(Protocol):
    name: str
    allowed_formats: int
    shape: Sequence[int]

    @property
    def dtype(self) -> DataType: ...


class ILayer(Protocol):
    name: str

    def get_output(self, index: int) -> ITensor | None: ...

    def set_input(self, index: int, tensor: ITensor) -> None: ...


class IConvolutionLayer(ILayer, Protocol):
    stride_nd: Sequence[int]
    padding_nd: Sequence[int]


class IPoolingLayer(ILayer, Protocol):
    stride_nd: Sequence[int]
    padding_nd: Sequence[int]


class IQuantizeLayer(ILayer, Protocol):
    axis: int


class IDequantizeLayer(ILayer, Protocol):
    axis: int


class INetworkDefinition(Protocol):
    @property
    def num_inputs(self) -> int: ...

    @property
    def num_outputs(self) -> int: ...

    def get_input(self, index: int) -> ITensor | None: ...

    def get_output(self, index: int) -> ITensor | None: ...

    def mark_output(self, tensor: ITensor) -> None: ...

    def add_input(self, name: str, dtype: DataType, shape: Sequence[int]) -> ITensor | None: ...

    def add_constant(self, shape: Sequence[int], weights: Weights) -> ILayer | None: ...

    def add_convolution_nd(
        self,
        input: ITensor,
        num_output_maps: int,
        kernel_shape: Sequence[int],
        kernel: Weights,
        bias: Weights,
    ) -> IConvolutionLayer | None: ...

    def add_activation(self, input: ITensor, type: ActivationType) -> ILayer | None: ...

    def add_elementwise(
        self, input1: ITensor, input2: ITensor, op: ElementWiseOperation
    ) -> ILayer | None: ...

    def add_pooling_nd(
        self, input: ITensor, type: PoolingType, window_size: Sequence[int]
    ) -> IPoolingLayer | None: ...

    def add_reduce(
        self, input: ITensor, op: ReduceOperation, axes: int, keep_dims: bool
    ) -> ILayer | None: ...

    def add_matrix_multiply(
        self, input0: ITensor, op0: MatrixOperation, input1: ITensor, op1: MatrixOperation
    ) -> ILayer | None: ...

    def add_quantize(
        self, input: ITensor, scale: ITensor, output_type: DataType
    ) -> IQuantizeLayer | None: ...

    def add_dequantize(
        self, input: ITensor, scale: ITensor, output_type: DataType
    ) -> IDequantizeLayer | None: ...


class IHostMemory(Protocol):
    """Bytes of TensorRT's; read through the buffer protocol."""

    @property
    def nbytes(self) -> int: ...

    def __buffer__(self, flags: int, /) -> memoryview: ...


class ITimingCache(Protocol):
    def serialize(self) -> IHostMemory | None: ...


class IBuilderConfig(Protocol):
    builder_optimization_level: int
    avg_timing_iterations: int
    max_aux_streams: int
    profiling_verbosity: ProfilingVerbosity

    def clear_flag(self, flag: BuilderFlag) -> None: ...

    def set_flag(self, flag: BuilderFlag) -> None: ...

    def get_flag(self, flag: BuilderFlag) -> bool: ...

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None: ...

    def get_memory_pool_limit(self, pool: MemoryPoolType) -> int: ...

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache | None: ...

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool: ...

    def get_timing_cache(self) -> ITimingCache | None: ...


class Builder(Protocol):
    def create_network(self, flags: int) -> INetworkDefinition | None: ...

    def create_builder_config(self) -> IBuilderConfig | None: ...

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None: ...


class ParserError(Protocol):
    def desc(self) -> str: ...

    def node_name(self) -> str: ...


class OnnxParser(Protocol):
    @property
    def num_errors(self) -> int: ...

    def get_error(self, index: int) -> ParserError: ...

    def parse(self, model: bytes, path: str) -> bool: ...


class EngineInspector(Protocol):
    def get_engine_information(self, format: LayerInformationFormat) -> str: ...


class IExecutionContext(Protocol):
    def set_tensor_address(self, name: str, memory: int) -> bool: ...

    def execute_async_v3(self, stream_handle: int) -> bool: ...


class ICudaEngine(Protocol):
    @property
    def num_io_tensors(self) -> int: ...

    def get_tensor_name(self, index: int) -> str: ...

    def get_tensor_mode(self, name: str) -> TensorIOMode: ...

    def get_tensor_dtype(self, name: str) -> DataType: ...

    def get_tensor_shape(self, name: str) -> Sequence[int]: ...

    def get_tensor_format(self, name: str) -> TensorFormat: ...

    def get_tensor_vectorized_dim(self, name: str) -> int: ...

    def get_tensor_components_per_element(self, name: str) -> int: ...

    def create_execution_context(self) -> IExecutionContext | None: ...

    def create_engine_inspector(self) -> EngineInspector | None: ...


class Runtime(Protocol):
    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None: ...
