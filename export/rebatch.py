"""The same ONNX file for another batch size: a file of ours fixes its batch in three places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from export.onnx_file import ExportError, batch_of


def rebatched(source: Path, path: Path, batch: int) -> None:
    """Writes `source` for `batch` images at a time: input, output, and reshapes in between.

    Raises:
        ExportError: unreadable, an open batch, or onnx refuses the result.
    """
    old = batch_of(source)
    if old is None:
        raise ExportError(f"{source} takes any batch already")
    model = onnx.load(str(source))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    shapes = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    for tensor in model.graph.initializer:
        if tensor.name in shapes:
            sizes = numpy_helper.to_array(tensor).copy()
            sizes[0] = batch if sizes[0] == old else sizes[0]
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(sizes), tensor.name))
    del model.graph.value_info[:]  # of the old batch; a runtime infers its own
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker's errors share no base
        raise ExportError(f"{source} cannot be made for batch {batch}: {error}") from None
    onnx.save(model, str(path))
