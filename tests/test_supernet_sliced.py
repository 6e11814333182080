"""The sliced supernet: every config computes exactly what its extracted network computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from supernet_strategies import seeds, spaces
from test_supernet_resnet import shake
from torch import Tensor

from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec
from supernet.sliced import SlicedSupernet
from supernet.space import SearchSpace

NETWORK = NetworkSpec(depths=(2, 2), width=0.125, stem="3x3/2", resolution=16, classes=5)
SPACE = SearchSpace.from_ratios(NETWORK, [0.25, 0.5, 0.75, 1], tied=False, removable=True)


def supernet_of(space: SearchSpace) -> SlicedSupernet:
    torch.manual_seed(0)
    net = SlicedSupernet(space)
    shake(net)
    return net


def images_of(network: NetworkSpec, n: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (n, network.channels, network.resolution, network.resolution)
    return torch.randn(shape, generator=generator)


@given(spaces(), seeds())
@settings(deadline=None, max_examples=30)
def test_extracted_network_computes_the_same(space: SearchSpace, seed: int) -> None:
    net, images = supernet_of(space).eval(), images_of(space.network)
    sampled = space.sample(np.random.default_rng(seed))
    with torch.no_grad():
        for config in (space.largest(), space.smallest(), sampled):
            plain = net.extract(config)
            assert (plain.config, plain.training) == (config, False)
            assert torch.equal(net(images, config), plain(images))


def test_extraction_takes_the_first_channels_of_every_tensor() -> None:
    net = supernet_of(SPACE)
    plain = net.extract(SPACE.smallest())
    whole = net.full.state_dict()
    for name, tensor in plain.state_dict().items():
        first = tuple(slice(k) for k in tensor.shape)
        assert torch.equal(tensor, whole[name][first]), name


def test_extracted_weights_are_copies() -> None:
    net = supernet_of(SPACE)
    before = net.full.conv1.weight.clone()
    with torch.no_grad():
        net.extract(SPACE.largest()).conv1.weight.zero_()
    assert torch.equal(net.full.conv1.weight, before)


def config_inside() -> ChannelConfig:
    return ChannelConfig(4, (16, 48), ((6, 2), (0, 0), (12, 16), (4, 8)))


def test_training_computes_the_plain_networks_outputs_and_gradients() -> None:
    net, images = supernet_of(SPACE).train(), images_of(NETWORK, 8)
    config = config_inside()
    assert config in SPACE
    plain = net.extract(config)
    assert plain.training
    ours, theirs = net(images, config), plain(images)
    torch.testing.assert_close(ours, theirs)
    torch.autograd.backward([ours.square().sum(), theirs.square().sum()])
    shared = dict(net.full.named_parameters())
    for name, parameter in plain.named_parameters():
        grad = shared[name].grad
        assert grad is not None
        inside = tuple(slice(k) for k in parameter.shape)
        assert parameter.grad is not None
        torch.testing.assert_close(grad[inside], parameter.grad, rtol=1e-3, atol=1e-4)
        rest = grad.clone()
        rest[inside] = 0
        assert not rest.any(), name
    unused = [name for name in shared if name.startswith("layer1.1.")]
    assert unused
    assert all(shared[name].grad is None for name in unused)


def test_running_statistics_follow_the_largest_config_alone() -> None:
    net, images = supernet_of(SPACE).train(), images_of(NETWORK)
    before = {name: tensor.clone() for name, tensor in net.named_buffers()}
    for config in (SPACE.smallest(), config_inside()):
        net(images, config)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.named_buffers())
    net(images, SPACE.largest())
    assert not any(torch.equal(before[name], tensor) for name, tensor in net.named_buffers())


def test_config_is_no_state() -> None:
    net, images = supernet_of(SPACE).eval(), images_of(NETWORK)
    with torch.no_grad():
        first = net(images, SPACE.largest())
        net(images, SPACE.smallest())
        assert torch.equal(net(images, SPACE.largest()), first)


def test_wider_config_is_refused_and_the_gene_named() -> None:
    net, largest = SlicedSupernet(SPACE), SPACE.largest()
    wide = replace(largest, inner=((8, 8), (8, 9), *largest.inner[2:]))
    for use in (net.extract, lambda config: net(images_of(NETWORK), config)):
        with pytest.raises(ConfigError, match=r"1\.1\.w2 must be <= 8, .* but got 9"):
            use(wide)
        with pytest.raises(ConfigError, match="depths"):
            use(NetworkSpec().dense())


def test_every_config_learns_in_sandwich_steps() -> None:
    """Forty steps on ten images must fit them at every config trained."""
    torch.manual_seed(0)
    net = SlicedSupernet(SPACE).train()
    images, labels = images_of(NETWORK, 10), torch.arange(10) % NETWORK.classes
    configs = (SPACE.largest(), SPACE.smallest(), config_inside())
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        parts = [torch.nn.functional.cross_entropy(net(images, c), labels) for c in configs]
        torch.autograd.backward(parts)
        optimiser.step()
        losses.append([part.item() for part in parts])
    assert all(last < 0.25 * first for first, last in zip(losses[0], losses[-1], strict=True))
