"""The graphs of a roofline's two limits: valid, computing what they say, and not optimised away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from profiler.graphs_roof import LEAST, MOST, copy_model, gemm_model

TYPES: dict[str, type[np.generic]] = {"fp32": np.float32, "fp16": np.float16, "int8": np.uint8}


def run(data: bytes, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    onnx.checker.check_model(data, full_check=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: values})[0])


@pytest.mark.parametrize("precision", TYPES)
@pytest.mark.parametrize("elements", [1, 7, 3 * 2048])
def test_a_copy_reads_and_writes_every_element(precision: str, elements: int) -> None:
    data = copy_model(elements, precision)
    rows = onnx.load_from_string(data).graph.input[0].type.tensor_type.shape.dim[0].dim_value
    values = np.resize(np.arange(256), (rows, elements // rows)).astype(TYPES[precision])
    result = run(data, values)
    assert result.size == elements
    assert result.dtype == values.dtype
    expected = np.clip(values, LEAST, MOST) if precision == "int8" else values
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_copy_is_not_optimised_away(precision: str, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        copy_model(64, precision), options, providers=["CPUExecutionProvider"]
    )
    (node,) = onnx.load(options.optimized_model_filepath).graph.node
    assert node.op_type == ("Clip" if precision == "int8" else "Relu")


@pytest.mark.parametrize("precision", TYPES)
def test_a_product_is_one(precision: str) -> None:
    side = 24
    data = gemm_model(side, precision)
    rng = np.random.default_rng(1)
    values = rng.integers(1, 255, (side, side)).astype(TYPES[precision])
    result = run(data, values)
    assert result.shape == (side, side)
    assert len(np.unique(result)) > side  # neither saturated nor constant
    if precision == "fp32":
        (weight,) = onnx.load_from_string(data).graph.initializer
        expected = values @ numpy_helper.to_array(weight)
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-3)
