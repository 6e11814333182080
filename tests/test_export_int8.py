"""Eight bits: ranges, files, judgement, choice, sensitivity, and what a CPU asks for."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from test_supernet_resnet import shake

from export.int8.calibration import METHODS, Method, ranges
from export.int8.choose import calibrated
from export.int8.entropy import LEVELS, divergence, folded, threshold
from export.int8.files import convolutions, quantise
from export.int8.form import Form, needs_reduced_range
from export.int8.judge import judge
from export.int8.sensitivity import sensitivity
from export.onnx_file import ExportError, export
from export.running import logits
from profiler.trt.onnx_source import check_symmetric, onnx_file
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.resnet import ResNet

Floats = npt.NDArray[np.float32]
NETWORK = NetworkSpec(depths=(2, 1), width=0.125, resolution=32, classes=5)
CONFIG = ChannelConfig(7, (24, 40), ((3, 8), (5, 5), (16, 9)))
BATCH = 4


def batches(count: int, seed: int = 0) -> list[Floats]:
    draws = np.random.default_rng(seed)
    return [draws.standard_normal((BATCH, 3, 32, 32)).astype(np.float32) for _ in range(count)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = ResNet(NETWORK, CONFIG)
    shake(net)
    path = tmp_path_factory.mktemp("int8") / "net.onnx"
    export(net, torch.from_numpy(batches(1)[0]), path)
    return path


def graph(path: Path) -> Any:
    return onnx.load(str(path)).graph


def weights(path: Path) -> list[npt.NDArray[np.int8]]:
    tensors = [numpy_helper.to_array(tensor) for tensor in graph(path).initializer]
    return [t for t in tensors if t.dtype == np.int8 and t.ndim >= 2]


@pytest.mark.parametrize("method", METHODS)
def test_ranges_lie_inside_what_was_seen(source: Path, method: Method) -> None:
    widest = ranges(source, batches(4), "max")
    found = ranges(source, batches(4), method)
    assert set(found.keys()) == set(widest.keys())
    for name, data in found.items():
        low, high = (float(np.squeeze(value)) for value in data.range_value)
        least, most = (float(np.squeeze(value)) for value in widest[name].range_value)
        slack = 1e-5 * (most - least)
        assert least - slack <= low < high <= most + slack, name


def test_ranges_do_not_depend_on_how_images_are_cut(source: Path) -> None:
    together = ranges(source, batches(4), "max")
    order = ranges(source, reversed(batches(4)), "max")
    for name, data in together.items():
        np.testing.assert_array_equal(data.range_value, order[name].range_value)


def test_cutting_less_keeps_more(source: Path) -> None:
    half, most = (ranges(source, batches(4), "percentile", percentile=p) for p in (90.0, 99.9))
    (name,) = {n for n in half.keys() if n == "images"}  # noqa: SIM118
    assert half[name].range_value[1] < most[name].range_value[1]


def test_what_cannot_be_calibrated_is_told_in_one_line(source: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    for path, images in ((broken, batches(1)), (source, []), (source, [batches(1)[0][:, :1]])):
        with pytest.raises(ExportError, match="cannot be calibrated"):
            ranges(path, images, "max")


def test_a_file_has_pairs_everywhere_and_integer_weights(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantise(source, path, ranges(source, batches(4), "max"), Form())
    nodes = graph(path).node
    made = {output: node.op_type for node in nodes for output in node.output}
    for node in nodes:
        if node.op_type in ("Conv", "Gemm", "Add"):
            assert made[node.input[0]] == made[node.input[1]] == "DequantizeLinear", node.name
    assert len(weights(path)) == len(convolutions(source)) == 1 + 3 * 3 + 2 + 1
    assert max(np.abs(w.astype(int)).max() for w in weights(path)) == 127
    reference, found = logits(source, batches(4)), logits(path, batches(4))
    assert judge(reference, found, reference.argmax(axis=1)).snr_db > 20
    assert not list(tmp_path.glob("*.tmp"))


def test_reduced_range_leaves_a_bit_of_every_weight(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    quantise(source, path, ranges(source, batches(4), "max"), Form(reduce_range=True))
    assert max(np.abs(w.astype(int)).max() for w in weights(path)) <= 64


@pytest.fixture(scope="module")
def symmetric(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("int8") / "symmetric.onnx"
    quantise(source, path, ranges(source, batches(4), "entropy"), Form("symmetric"))
    return path


def test_the_symmetric_form_is_what_tensorrt_reads(source: Path, symmetric: Path) -> None:
    check_symmetric(onnx.load(str(symmetric)), "file")
    made = {output: node for node in graph(symmetric).node for output in node.output}
    additions = [node for node in graph(symmetric).node if node.op_type == "Add"]
    assert len(additions) == 3
    for node in additions:
        # one side as the convolution gives it, the other rounded: so TensorRT fuses the addition
        assert [made[name].op_type for name in node.input].count("Conv") == 1
        assert [made[name].op_type for name in node.input].count("DequantizeLinear") == 1
    reference, found = logits(source, batches(4)), logits(symmetric, batches(4))
    assert judge(reference, found, reference.argmax(axis=1)).snr_db > 15


@pytest.mark.skipif(
    sys.platform != "linux" or importlib.util.find_spec("tensorrt") is not None,
    reason="TensorRT-RTX is for Linux, and cannot share a process with TensorRT",
)
def test_tensorrt_rtx_builds_the_symmetric_form(symmetric: Path) -> None:
    import tensorrt_rtx as trt
    from trt_networks import factory

    assert len(factory(trt).build(onnx_file(str(symmetric), BATCH), "int8 file")) > 1000


def test_layers_can_stay_in_floats(source: Path, tmp_path: Path) -> None:
    found = ranges(source, batches(2), "max")
    quantise(source, tmp_path / "kept.onnx", found, Form(), keep=["conv1", "fc"])
    names = {tensor.name for tensor in graph(tmp_path / "kept.onnx").initializer}
    assert {"conv1.weight", "fc.weight"} <= names
    with pytest.raises(ExportError, match="no layer 'conv9'; it has conv1, "):
        quantise(source, tmp_path / "none.onnx", found, Form(), keep=["conv9"])
    assert not (tmp_path / "none.onnx").exists()


def test_the_best_is_chosen_and_all_are_judged(source: Path, tmp_path: Path) -> None:
    labels = logits(source, batches(3, seed=1)).argmax(axis=1)
    found = calibrated(
        source, tmp_path, Form(), calibration=batches(4), judging=batches(3, seed=1), labels=labels
    )
    assert set(found.files) == set(found.judged) == set(METHODS)
    assert all(path.exists() for path in found.files.values())
    least = min(judged.divergence for judged in found.judged.values())
    assert found.judged[found.best].divergence == least
    assert 0 < least < 0.1


def test_sensitivity_orders_all_layers(source: Path) -> None:
    found = sensitivity(source, ranges(source, batches(2), "max"), Form(), batches(2))
    assert set(found) == set(convolutions(source))
    assert list(found.values()) == sorted(found.values())
    assert min(found.values()) > 15


def test_sensitivity_finds_the_layer_that_is_hurt(source: Path) -> None:
    found = ranges(source, batches(2), "max")
    tensor = next(n.output[0] for n in graph(source).node if n.name == convolutions(source)["fc"])
    before = next(n.input[0] for n in graph(source).node if n.name == convolutions(source)["fc"])
    assert tensor == "logits"
    found.data[before].lowest, found.data[before].highest = np.float32(0), np.float32(1e4)
    assert next(iter(sensitivity(source, found, Form(), batches(2)))) == "fc"


def test_logits_of_a_last_batch_that_is_not_full(source: Path) -> None:
    whole = logits(source, batches(2))
    cut = logits(source, [batches(2)[0], batches(2)[1][:1]])
    np.testing.assert_allclose(cut, whole[: BATCH + 1], rtol=1e-5, atol=1e-6)
    with pytest.raises(ExportError, match="no images"):
        logits(source, [])
    with pytest.raises(ExportError, match="NaN or infinity"):
        logits(source, [np.full((BATCH, 3, 32, 32), np.nan, dtype=np.float32)])


def test_judging() -> None:
    reference = np.array([[2.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    labels = np.array([0, 0])
    same = judge(reference, reference, labels)
    assert (same.accuracy, same.agreement, same.divergence) == (0.5, 1.0, 0.0)
    assert same.snr_db == np.inf
    flipped = judge(reference, reference[::-1], labels)
    assert (flipped.accuracy, flipped.agreement) == (0.5, 0.0)
    assert flipped.divergence > 1
    assert flipped.snr_db == pytest.approx(10 * np.log10(8 / 16))


@pytest.mark.parametrize(
    ("flags", "needed"),
    [
        (["avx2"], True),  # AMD EPYC before Zen 4
        (["avx512", "avx2"], True),  # Skylake-SP
        (["avx512", "vnni", "avx2"], False),  # Cascade Lake
        (["avx512", "vnni", "amx", "avx2"], False),  # Sapphire Rapids
        (["vnni", "avx2"], False),  # Alder Lake
        (["neon", "dotprod"], False),
        ([], False),
    ],
)
def test_which_cpus_need_weights_of_seven_bits(flags: list[str], needed: bool) -> None:
    assert needs_reduced_range(flags) is needed


def test_entropy_cuts_a_lone_outlier_and_little_of_an_even_spread() -> None:
    bins = 1024
    values = np.abs(np.random.default_rng(0).normal(0, 1, 200_000))
    outlier = np.histogram(np.append(values, 40.0), bins, range=(0, 40))[0]
    assert threshold(outlier) < bins * 0.25
    assert threshold(np.full(bins, 100)) > bins * 0.9


def test_folding_adds_both_sides_and_forgets_zeros() -> None:
    assert folded(np.array([1, 2, 3, 90, 5, 6])).tolist() == [7, 7, 7]


@given(st.lists(st.integers(0, 10_000), min_size=LEVELS + 1, max_size=300))
def test_entropy_is_defined_for_every_histogram(counts: list[int]) -> None:
    found = threshold(np.array(counts, dtype=np.int64))
    assert LEVELS <= found <= len(counts)
    assert np.isfinite(divergence(np.array(counts, dtype=np.int64), found))
