"""`Settings`: how TensorRT is told to build, all of it recorded with what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from profiler.backend import BackendError
from profiler.trt import api
from profiler.trt.module import TensorRT

LEVELS = range(6)
LEAST_TIMINGS = 8
"""TensorRT's own default of 1 makes the choice of kernels a lottery; its `trtexec` takes 8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See `IBuilderConfig` of TensorRT.

    Attributes:
        optimization_level: 0..5; higher tries more kernels. 3 is TensorRT's default.
        avg_timing_iterations: runs averaged when kernels are compared.
        workspace_bytes: most device memory that a layer may use beside its tensors.
        tf32: let fp32 layers compute in TF32, which TensorRT does unless told otherwise.

    Raises:
        BackendError: a value outside its range.
    """

    optimization_level: int = 3
    avg_timing_iterations: int = LEAST_TIMINGS
    workspace_bytes: int = 4 << 30
    tf32: bool = False

    def __post_init__(self) -> None:
        if self.optimization_level not in LEVELS:
            raise BackendError(
                f"optimization_level must be 0..{LEVELS[-1]}, but got {self.optimization_level}"
            )
        if self.avg_timing_iterations < LEAST_TIMINGS:
            raise BackendError(
                f"avg_timing_iterations must be >= {LEAST_TIMINGS}, "
                f"but got {self.avg_timing_iterations}"
            )
        if self.workspace_bytes < 1:
            raise BackendError(f"workspace_bytes must be >= 1, but got {self.workspace_bytes}")

    def apply(self, trt: TensorRT, config: api.IBuilderConfig) -> None:
        """Sets all of it.

        Raises:
            BackendError: TensorRT did not take the workspace limit.
        """
        config.builder_optimization_level = self.optimization_level
        config.avg_timing_iterations = self.avg_timing_iterations
        # one stream: what is timed must not depend on what else the device does
        config.max_aux_streams = 0
        # tile sizes and kernels can then be read from the engine
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if self.tf32:
            config.set_flag(trt.BuilderFlag.TF32)
        else:
            config.clear_flag(trt.BuilderFlag.TF32)
        workspace = trt.MemoryPoolType.WORKSPACE
        config.set_memory_pool_limit(workspace, self.workspace_bytes)
        if (got := config.get_memory_pool_limit(workspace)) != self.workspace_bytes:
            raise BackendError(f"workspace_bytes must be what TensorRT takes, which is {got}")

    def facts(self) -> dict[str, str]:
        """For `Target.details`."""
        return {
            "optimization_level": str(self.optimization_level),
            "avg_timing_iterations": str(self.avg_timing_iterations),
            "workspace_bytes": str(self.workspace_bytes),
            "tf32": "1" if self.tf32 else "0",
            "max_aux_streams": "0",
            "profiling_verbosity": "detailed",
            "typing": "strong",
        }
