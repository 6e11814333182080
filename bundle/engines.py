"""A bundle's files for other engines: the ONNX file for a batch, and OpenVINO's compiled model.

TensorRT engines of bundles are built by `stairprune engine build`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from bundle.manifest import FILES, BundleError
from bundle.reading import Bundle, opened
from export.onnx_file import ExportError, batch_of
from export.rebatch import rebatched
from profiler.backends.openvino import DEVICE, runtime, settings


def onnx_of(bundle: Bundle, precision: str, batch: int, path: Path) -> Path:
    """Writes a bundle's ONNX file for `batch` images at a time to `path`.

    Raises:
        BundleError: no such precision, or the bundle has no such file.
    """
    if precision not in FILES:
        raise BundleError(f"precision must be one of {', '.join(FILES)}, but got {precision!r}")
    file = bundle.file(FILES[precision])
    if file is None:
        raise BundleError(f"{bundle.source} holds no {FILES[precision]}")
    try:
        if batch_of(file) in (None, batch):
            shutil.copyfile(file, path)
        else:
            rebatched(file, path, batch)
    except ExportError as error:
        raise BundleError(str(error)) from None
    return path


def openvino(
    source: str | Path, precision: str = "int8", *, batch: int = 1, threads: int = 1
) -> Any:
    """An `openvino.CompiledModel` for the CPU: called with [images], it returns logits.

    Raises:
        BundleError: a broken bundle, OpenVINO is not installed, or it cannot compile the file.
    """
    with opened(Path(source)) as bundle, tempfile.TemporaryDirectory() as folder:
        path = onnx_of(bundle, precision, batch, Path(folder) / "model.onnx")
        try:
            core = runtime().Core()
            return core.compile_model(core.read_model(str(path)), DEVICE, settings(threads))
        except ImportError:
            raise BundleError("openvino is missing: pip install 'stairprune[openvino]'") from None
        except RuntimeError as error:
            raise BundleError(f"{source}: openvino cannot compile it: {error}") from None
