"""ONNX files: the graph, the agreement with torch, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest
import torch
from test_supernet_resnet import shake
from torch import Tensor, nn

from export.onnx_file import ExportError, check, export, max_difference
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.resnet import ResNet

NETWORK = NetworkSpec(depths=(2, 1), width=0.125, resolution=32, classes=5)
CONFIG = ChannelConfig(7, (24, 40), ((3, 8), (0, 0), (16, 9)))


@pytest.fixture(scope="module")
def net() -> ResNet:
    torch.manual_seed(0)
    net = ResNet(NETWORK, CONFIG).to(memory_format=torch.channels_last)
    shake(net)
    return net.train()


@pytest.fixture(scope="module")
def file(net: ResNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "net.onnx"
    export(net, images(2), path)
    return path


def images(n: int) -> Tensor:
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(n))


def test_file_computes_what_torch_computes(net: ResNet, file: Path) -> None:
    assert max_difference(net, file, images(2)) < 1e-5
    assert check(net, file, images(6)) < 1e-4
    assert check(net, file, images(3)) < 1e-4  # the file's batch is 2
    assert net.training


def test_graph_is_plain_and_batch_norm_folded(file: Path) -> None:
    model = onnx.load(file)
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators["Conv"] == 1 + (3 + 1) * 2
    assert operators["Add"] == 2
    assert set(operators) <= {
        *("Conv", "Relu", "Add", "MaxPool", "Gemm", "Reshape", "Flatten"),
        *("ReduceMean", "GlobalAveragePool"),
    }
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [2, 3, 32, 32]


def test_file_is_alone_and_tells_nothing_of_the_source(file: Path) -> None:
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert str(Path(__file__).parent.parent).encode() not in file.read_bytes()
    assert b"resnet.py" not in file.read_bytes()


def test_same_network_gives_the_same_bytes(net: ResNet, file: Path, tmp_path: Path) -> None:
    export(net, images(2), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == file.read_bytes()


def test_dynamic_batch(net: ResNet, tmp_path: Path) -> None:
    path = tmp_path / "dynamic.onnx"
    export(net, images(1), path, dynamic_batch=True)
    for n in (1, 3, 4):
        check(net, path, images(n))


def test_other_weights_are_noticed(file: Path) -> None:
    torch.manual_seed(1)
    with pytest.raises(ExportError, match=r"agree with torch's to 0\.0001"):
        check(ResNet(NETWORK, CONFIG), file, images(2))


def test_small_change_of_one_weight_is_noticed(net: ResNet, file: Path) -> None:
    changed = ResNet(NETWORK, CONFIG)
    changed.load_state_dict(net.state_dict())
    with torch.no_grad():
        changed.fc.bias[0] += 0.01
    assert 1e-4 < max_difference(changed, file, images(2)) < 0.1


def test_images_that_do_not_fit_are_refused(net: ResNet, file: Path) -> None:
    with pytest.raises(ExportError, match="onnxruntime cannot run it"):
        check(net, file, torch.randn(2, 3, 40, 40))


def test_broken_file_is_refused(net: ResNet, file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(file.read_bytes()[:1000])
    for path in (broken, tmp_path / "absent.onnx"):
        with pytest.raises(ExportError, match="is not an ONNX model"):
            check(net, path, images(2))


def test_outputs_of_another_shape_are_not_stretched(file: Path) -> None:
    one_logit = nn.Sequential(nn.Flatten(), nn.LazyLinear(1))
    with pytest.raises(ExportError, match=r"gives \[\d+, \d+\] where torch gives \[\d+, 1\]"):
        max_difference(one_logit, file, images(2))


def test_nan_is_never_a_difference(net: ResNet, file: Path) -> None:
    changed = ResNet(NETWORK, CONFIG)
    with torch.no_grad():
        changed.fc.bias[0] = float("nan")
    with pytest.raises(ExportError, match="NaN or Inf"):
        max_difference(changed, file, images(2))


class Branching(nn.Module):
    """Takes a branch that depends on the data, which no static graph can hold."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum().item() > 0 else x


def test_failed_export_leaves_the_old_file(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ExportError, match="cannot export Branching"):
        export(Branching(), images(2), path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
