"""The plain network: torchvision's names and outputs, and the arithmetic's params and MACs."""

from __future__ import annotations

import pytest
import torch
import torchvision
from hypothesis import given, settings
from supernet_strategies import networks_with_config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from supernet.arithmetic import count
from supernet.config import ChannelConfig, ConfigError
from supernet.network import DEPTHS, NetworkSpec
from supernet.resnet import Bottleneck, Projection, ResNet

Pair = tuple[NetworkSpec, ChannelConfig]
SMALL = NetworkSpec(depths=(2, 2), width=0.125, stem="3x3/2", resolution=16, classes=5)


def shake(net: nn.Module, seed: int = 0) -> None:
    """Gives every batch norm its own statistics, scale and shift."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor: Tensor | None, low: float, high: float) -> None:
        assert tensor is not None
        with torch.no_grad():
            tensor.uniform_(low, high, generator=generator)

    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            uniform(module.running_mean, -0.3, 0.3)
            uniform(module.running_var, 0.5, 2)
            uniform(module.weight, 0.5, 1.5)
            uniform(module.bias, -0.2, 0.2)


def test_computes_what_torchvision_computes() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(weights=None).eval()
    shake(theirs)
    network = NetworkSpec()
    ours = ResNet(network, network.dense()).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", sorted(DEPTHS))
def test_state_dict_has_torchvisions_names_and_shapes(name: str) -> None:
    network = NetworkSpec(depths=DEPTHS[name])
    with torch.device("meta"):
        ours = ResNet(network, network.dense())
        theirs = getattr(torchvision.models, name)(weights=None)
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, v.shape) for k, v in theirs.state_dict().items()
    ]


@given(networks_with_config())
@settings(deadline=None, max_examples=40)
def test_params_and_macs_are_those_of_the_arithmetic(pair: Pair) -> None:
    network, config = pair
    with torch.device("meta"):
        net = ResNet(network, config).eval()
        images = torch.empty(1, network.channels, network.resolution, network.resolution)
    with FlopCounterMode(display=False) as counter:
        assert net(images).shape == (1, network.classes)
    params = sum(p.numel() for p in net.parameters())
    assert (counter.get_total_flops() // 2, params) == count(network, config)


def test_removed_block_is_an_identity_in_its_place() -> None:
    config = ChannelConfig(8, (32, 64), ((8, 8), (0, 0), (16, 12), (16, 16)))
    net = ResNet(SMALL, config)
    assert isinstance(net.get_submodule("layer1.1"), nn.Identity)
    assert [block is None for block in net.blocks()] == [False, True, False, False]
    assert "layer2.1.conv2.weight" in net.state_dict()
    assert not any(name.startswith("layer1.1.") for name in net.state_dict())


def test_convolutions_start_with_fan_out_variance() -> None:
    torch.manual_seed(0)
    network = NetworkSpec(width=0.5)
    net = ResNet(network, network.dense())
    block = net.get_submodule("layer3.1")
    assert isinstance(block, Bottleneck)
    weight = block.conv2.weight
    assert weight.std().item() == pytest.approx((2 / (9 * weight.shape[0])) ** 0.5, rel=0.02)


@pytest.mark.parametrize("zero", [False, True])
def test_zero_init_residual_silences_the_branches(zero: bool) -> None:
    net = ResNet(SMALL, SMALL.dense(), zero_init_residual=zero).eval()
    block = net.get_submodule("layer1.1")
    x = torch.rand(1, 32, 8, 8)
    with torch.no_grad():
        assert torch.equal(block(x), x) is zero


def test_config_of_another_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="depths"):
        ResNet(SMALL, NetworkSpec().dense())


@pytest.mark.parametrize("cin", [3, 7, 16])
def test_strided_projection_of_few_channels_has_the_gradients_of_the_plain_one(cin: int) -> None:
    torch.manual_seed(0)
    ours = Projection(cin, 12, 1, 2, bias=False)
    # Double precision takes another path through the library than the one that is avoided.
    plain = nn.Conv2d(cin, 12, 1, 2, bias=False).double()
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(4, cin, 9, 9).to(memory_format=torch.channels_last)
    expected, got = plain(x.double()), ours(x)
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)
    expected.square().sum().backward()
    got.square().sum().backward()
    assert ours.weight.grad is not None
    torch.testing.assert_close(ours.weight.grad.double(), plain.weight.grad, rtol=1e-4, atol=1e-4)
