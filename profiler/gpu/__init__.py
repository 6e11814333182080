"""CUDA devices as the timing of engines needs them; see `profiler.gpu.timing`."""
