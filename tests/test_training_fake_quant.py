"""A rounded network computes what its eight-bit file does, learns, and becomes plain again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_supernet_resnet import shake
from torch import Tensor

from export.int8.calibration import ranges
from export.int8.files import quantise
from export.int8.form import Form
from export.int8.judge import judge
from export.onnx_file import export
from export.running import logits
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.resnet import ResNet
from training.data import Data, load
from training.fake_quant import Rounded
from training.recipe import Recipe
from training.scratch import train

NETWORK = NetworkSpec(
    depths=(2, 1), width=0.125, stem="3x3/1", resolution=8, channels=1, classes=10
)
CONFIG = ChannelConfig(7, (24, 40), ((3, 8), (5, 5), (16, 9)))


def network() -> ResNet:
    torch.manual_seed(0)
    net = ResNet(NETWORK, CONFIG)
    shake(net)
    return net.eval()


@pytest.fixture(scope="module")
def data() -> Data:
    return load("digits", path=None, resolution=8, channels=1, val_size=200, seed=0)


@pytest.fixture(scope="module")
def images(data: Data) -> list[Tensor]:
    return [data.train.batch(torch.arange(n * 50, (n + 1) * 50))[0] for n in range(4)]


@pytest.mark.parametrize("reduce_range", [False, True])
def test_it_computes_what_the_file_computes(
    images: list[Tensor], tmp_path: Path, reduce_range: bool
) -> None:
    net, form = network(), Form(reduce_range=reduce_range)
    source, path = tmp_path / "net.onnx", tmp_path / "int8.onnx"
    export(net, images[0], source)
    batches = [batch.contiguous().numpy() for batch in images]
    quantise(source, path, ranges(source, batches, "max"), form)
    plain, found = logits(source, batches), logits(path, batches)
    rounded = Rounded(net, images, reduce_range=reduce_range).eval()
    with torch.no_grad():
        ours = torch.cat([rounded(batch) for batch in images]).numpy()
    loss = judge(plain, found, plain.argmax(axis=1)).snr_db
    # nearer to the file than the file is to floating point
    assert judge(found, ours, found.argmax(axis=1)).snr_db > loss + 6


def test_untrained_it_becomes_the_same_network_again(images: list[Tensor]) -> None:
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with torch.no_grad():
        expected = network()(images[0])
    plain = Rounded(net, images).plain()
    assert plain.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in plain.state_dict().items())
    with torch.no_grad():
        assert torch.equal(plain(images[0]), expected)


def test_training_keeps_statistics_and_moves_weights(images: list[Tensor]) -> None:
    rounded = Rounded(network(), images).train()
    before = {name: tensor.clone() for name, tensor in rounded.net.state_dict().items()}
    rounded(images[0]).square().sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for p in rounded.parameters() if p.ndim > 1
    )
    for name, tensor in rounded.net.state_dict().items():
        if "running" in name:
            assert torch.equal(tensor, before[name])


def test_it_learns_to_stand_rounding(data: Data, tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = ResNet(NETWORK, NETWORK.dense())
    train(net, data, Recipe(epochs=3, batch=50, lr=0.1, augment=False), tmp_path / "a", seed=0)
    teacher = ResNet(NETWORK, NETWORK.dense())
    teacher.load_state_dict(net.state_dict())
    few = [data.train.batch(torch.arange(200))[0]]
    with torch.no_grad():
        net.fc.weight[:, 0] += 2  # coarse: one weight takes the whole range of every class
    rounded = Rounded(net, few)
    result = train(
        rounded,
        data,
        Recipe(epochs=2, batch=50, lr=0.01, warmup_epochs=0.5, augment=False, alpha=1.0),
        tmp_path / "b",
        seed=0,
        teacher=teacher,
    )
    losses = [row["loss"] for row in result.history]
    assert losses[-1] < losses[0]
    assert np.isfinite(losses).all()
    assert rounded.plain().state_dict().keys() == teacher.state_dict().keys()
