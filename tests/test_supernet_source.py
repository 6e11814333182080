"""Every kind of weight source: the same interface, and extraction that changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from supernet_strategies import seeds, spaces
from test_supernet_resnet import shake
from test_supernet_sliced import NETWORK, SPACE, images_of, supernet_of
from torch import Tensor, nn

from supernet.config import ConfigError
from supernet.cut import cut
from supernet.estimate import Estimator
from supernet.kinds import KINDS, Kind
from supernet.network import NetworkSpec
from supernet.pruningnet import HIDDEN, PruningNet
from supernet.resnet import ResNet
from supernet.sliced import SlicedSupernet
from supernet.sorting import sort_channels
from supernet.source import build
from supernet.space import SearchSpace
from training.losses import soft_loss


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def source_of(kind: Kind, space: SearchSpace) -> PruningNet | SlicedSupernet:
    torch.manual_seed(0)
    net = build(kind, space)
    assert isinstance(net, PruningNet | SlicedSupernet)
    if isinstance(net, SlicedSupernet):
        shake(net)
    return net


@pytest.mark.parametrize("kind", KINDS)
@given(space=spaces(), seed=seeds())
@settings(deadline=None, max_examples=8)
def test_extracted_network_computes_the_same(kind: Kind, space: SearchSpace, seed: int) -> None:
    net, images = source_of(kind, space), images_of(space.network)
    sampled = space.sample(np.random.default_rng(seed))
    net.train()
    with torch.no_grad():
        net(images, sampled)  # statistics of its widths move, where there are such
        net.eval()
        for config in (space.largest(), space.smallest(), sampled):
            plain = net.extract(config)
            assert (plain.config, plain.training) == (config, False)
            torch.testing.assert_close(net(images, config), plain(images))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_what_a_config_uses_and_nothing_else(kind: Kind) -> None:
    net, images = source_of(kind, SPACE).train(), images_of(NETWORK, 8)
    net(images, SPACE.smallest()).square().sum().backward()
    grads = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    assert 0 < len(grads) < len(dict(net.named_parameters()))  # removed blocks have none
    assert all(bool(torch.isfinite(grad).all()) for grad in grads.values())
    assert any(bool((grad != 0).any()) for grad in grads.values())


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_the_same_twice(kind: Kind) -> None:
    net = source_of(kind, SPACE)
    images = [images_of(NETWORK, 8)]
    labelled = [(images[0], torch.arange(8) % NETWORK.classes)]
    first, second = (Estimator(net, images, labelled) for _ in range(2))
    assert first(SPACE.largest()) == second(SPACE.largest())


def test_no_such_kind() -> None:
    with pytest.raises(ValueError, match="kind must be one of sliced, pruningnet, but got 'ofa'"):
        build("ofa", SPACE)  # type: ignore[arg-type]


def test_generated_weights_depend_on_the_widths_of_their_bottleneck() -> None:
    net = source_of("pruningnet", SPACE).eval()
    wide, narrow = net.extract(SPACE.largest()), net.extract(SPACE.smallest())
    stem, block = narrow.conv1.weight, narrow.layers()[0, "conv2"][0].weight
    for small, name in ((stem, (-1, "conv1")), (block, (0, "conv2"))):
        large = wide.layers()[name][0].weight[: small.shape[0], : small.shape[1]]
        assert not torch.equal(small, large)
        assert torch.corrcoef(torch.stack([small.flatten(), large.flatten()]))[0, 1] > 0.5


def test_pruningnet_has_no_affine_norm_and_statistics_per_width() -> None:
    net, images = source_of("pruningnet", SPACE).train(), images_of(NETWORK, 8)
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    net(images, SPACE.largest())
    moved = {name for name, buffer in net.named_buffers() if not torch.equal(before[name], buffer)}
    assert moved
    stem = dict(net.named_buffers())["convolutions.stem.mean"]
    assert stem[-1].any()
    assert not stem[:-1].any()
    plain = net.extract(SPACE.largest())
    norms = [module for module in plain.modules() if isinstance(module, nn.BatchNorm2d)]
    assert all(bool((n.weight == 1).all()) and not n.bias.any() for n in norms)


def test_pruningnet_needs_32_times_the_weights() -> None:
    network = NetworkSpec()
    with torch.device("meta"):
        net = PruningNet(SearchSpace.from_ratios(network, [1, 0.5]))
    convolutions = sum(p.numel() for p in net.parameters())
    assert convolutions / 25.5e6 == pytest.approx(HIDDEN + 1, rel=0.02)


def test_pruningnet_refuses_widths_outside_its_space() -> None:
    net = source_of("pruningnet", SPACE)
    with pytest.raises(ConfigError, match="must be one of"):
        net.extract(NETWORK.uniform(0.6))


def test_pruningnet_learns_one_random_config_a_step() -> None:
    net = source_of("pruningnet", SPACE).train()
    images, labels = images_of(NETWORK, 10), torch.arange(10) % NETWORK.classes
    optimiser = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(net(images, SPACE.sample(rng)), labels)
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.6 * sum(losses[:10])


def test_gradients_of_a_cut_are_those_of_a_slice() -> None:
    weight = torch.randn(5, 4, 3, 3).to(memory_format=torch.channels_last).requires_grad_()
    bias, frozen = torch.randn(5, requires_grad=True), torch.randn(4)
    for size in ((2, 3), (5, 4), (2, 3)):  # adds up over backward passes
        part, offset, whole = cut([weight, bias, frozen], [size, (size[0],), ()])
        assert part.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(whole, frozen)
        torch.autograd.backward(part.square().sum() + 3 * offset.sum())
    wanted = torch.zeros(5, 4, 3, 3)
    for rows, columns in ((2, 3), (5, 4), (2, 3)):
        wanted[:rows, :columns] += 2 * weight.detach()[:rows, :columns]
    torch.testing.assert_close(weight.grad, wanted)
    assert torch.equal(bias.grad, torch.tensor([9.0, 9, 3, 3, 3]))  # type: ignore[arg-type]
    assert frozen.grad is None


def test_a_sandwich_step_sums_the_gradients_of_its_networks() -> None:
    net, images = supernet_of(SPACE).train(), images_of(NETWORK, 8)
    lead, small = net.extract(SPACE.largest()), net.extract(SPACE.smallest())
    shared = net(images, SPACE.largest()), net(images, SPACE.smallest())
    for first, second in (shared, (lead(images), small(images))):
        torch.autograd.backward([first.square().mean(), soft_loss(second, first, 2.0)])
    theirs = dict(small.named_parameters())
    for name, parameter in lead.named_parameters():
        wanted = parameter.grad
        assert wanted is not None
        if name in theirs:
            grad = theirs[name].grad
            assert grad is not None
            wanted[tuple(slice(k) for k in grad.shape)] += grad
        torch.testing.assert_close(net.full.get_parameter(name).grad, wanted, rtol=1e-3, atol=1e-5)


def trained(seed: int) -> tuple[ResNet, Tensor]:
    torch.manual_seed(seed)
    net = ResNet(NETWORK, NETWORK.dense())
    shake(net)
    return net.eval(), images_of(NETWORK, 6)


def test_sorting_changes_the_order_of_channels_and_nothing_else() -> None:
    net, images = trained(0)
    with torch.no_grad():
        before = net(images)
        weights = net.conv1.weight.clone()
        sort_channels(net)
        torch.testing.assert_close(net(images), before, rtol=1e-4, atol=1e-4)
    assert not torch.equal(net.conv1.weight, weights)
    for conv, _ in (net.layers()[0, "conv1"], net.layers()[3, "conv2"], net.layers()[-1, "conv1"]):
        norms = conv.weight.abs().sum(dim=(1, 2, 3))
        assert torch.equal(norms, norms.sort(descending=True).values)


def test_a_supernet_starts_from_trained_weights() -> None:
    net, images = trained(1)
    supernet = SlicedSupernet(SPACE).eval()
    supernet.adopt(net)
    with torch.no_grad():
        torch.testing.assert_close(supernet(images, SPACE.largest()), net(images))
    with pytest.raises(ConfigError, match=r"must reach the largest config at conv1\.weight"):
        supernet.adopt(ResNet(NETWORK, SPACE.smallest()))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_trains_and_extracts_on_a_gpu(kind: Kind) -> None:
    net = source_of(kind, SPACE).to("cuda").train()
    images = images_of(NETWORK, 16).to("cuda")
    with torch.autocast("cuda", torch.bfloat16):
        loss = net(images, SPACE.smallest()).float().square().mean()
    torch.autograd.backward(loss)
    net.eval()
    with torch.no_grad():
        plain = net.extract(SPACE.smallest())
        torch.testing.assert_close(
            net(images, SPACE.smallest()), plain(images), rtol=1e-3, atol=1e-3
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_pruningnet_of_the_whole_resnet50_steps_on_a_gpu() -> None:
    network = NetworkSpec()
    with torch.device("cuda"):
        net = PruningNet(SearchSpace.from_ratios(network, [1, 0.75, 0.5])).train()
    assert sum(p.numel() for p in net.parameters()) > 8e8
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(8, 3, 224, 224, device="cuda")
    labels = torch.arange(8, device="cuda")
    rng = np.random.default_rng(0)
    for _ in range(2):
        optimiser.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            logits = net(images, net.space.sample(rng))
        loss = nn.functional.cross_entropy(logits.float(), labels)
        torch.autograd.backward(loss)
        optimiser.step()
        assert torch.isfinite(loss)
    assert torch.cuda.max_memory_allocated() < 40e9
