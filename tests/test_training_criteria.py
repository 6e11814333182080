"""Every criterion: finite importance of every channel, repeatable, and it sees what it is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_supernet_resnet import shake
from torch import nn
from training_toys import TINY, toy_data

from supernet.arithmetic import encode
from supernet.config import ChannelConfig, ConfigError
from supernet.estimate import weights_hash
from supernet.layers import convolutions
from supernet.resnet import ResNet
from training.channels import filters, writers
from training.criteria import lasso
from training.criterion import CriterionError, Importance, load, names, parts
from training.recipe import Recipe
from training.scratch import train
from training.sparsity import scales_l1, zero_smallest
from training.surgery import prune

NETWORK = replace(TINY, depths=(2, 1))
DATA = toy_data()
PLAIN = Recipe(epochs=3, batch=16, lr=0.05, warmup_epochs=0)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def dense(seed: int = 0) -> ResNet:
    torch.manual_seed(seed)
    net = ResNet(NETWORK, NETWORK.dense())
    shake(net)
    return net.eval()


def importance_of(name: str, net: ResNet) -> Importance:
    criterion = load(name)
    if reason := criterion.unavailable():
        pytest.skip(reason)
    return criterion.importance(net, DATA)


@pytest.mark.parametrize("name", names())
def test_every_channel_has_an_importance_and_the_net_is_left_as_it_was(name: str) -> None:
    net = dense()
    before = weights_hash(net)
    first, second = importance_of(name, net), importance_of(name, net)
    widths = encode([net.config])[0]
    assert {column: len(values) for column, values in first.items()} == dict(enumerate(widths))
    for column, values in first.items():
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
        assert (values >= 0).all()
        assert np.array_equal(values, second[column])
    assert weights_hash(net) == before
    assert not net.training
    assert all(p.grad is None for p in net.parameters())
    assert load(name).summary


@pytest.mark.parametrize("name", ["l1", "fpgm", "soft", "gamma", "taylor", "lamp", "lasso"])
def test_a_channel_that_does_nothing_matters_least(name: str) -> None:
    net = dense()
    first = 1 + len(NETWORK.depths)  # the column of block 0's first inner width
    conv, norm = net.layers()[0, "conv1"]
    with torch.no_grad():
        if name == "fpgm":  # the least is what is nearest to the others, not what is small
            conv.weight[2] = conv.weight.mean(0)
        else:
            conv.weight[2] = 0
            norm.weight[2] = norm.bias[2] = 0
    values = importance_of(name, net)[first]
    assert values.argmin() == 2
    assert values[2] < 0.9 * np.median(values)


def test_fpgm_and_l1_disagree_about_a_large_filter_like_the_others() -> None:
    net = dense()
    conv = net.layers()[0, "conv2"][0]
    with torch.no_grad():
        conv.weight.copy_(conv.weight.mean(0, keepdim=True).expand_as(conv.weight) * 5)
        conv.weight[1] = 0
    column = 1 + len(NETWORK.depths) + 1
    assert importance_of("l1", net)[column].argmin() == 1
    assert importance_of("fpgm", net)[column].argmax() == 1


def test_lasso_keeps_the_channels_that_make_the_outputs() -> None:
    reader = nn.Conv2d(6, 4, 1, bias=False)
    torch.manual_seed(0)
    inputs = torch.randn(20, 6, 5, 5)
    with torch.no_grad():
        reader.weight[:, [0, 3, 5]] *= 0.01
        reader.weight[:, 1] *= 5
    found = lasso.path(reader, inputs)
    assert set(np.argsort(-found)[:3]) == {1, 2, 4}
    assert found.argmax() == 1
    assert found.max() == pytest.approx(1)


def test_lasso_reads_every_width_where_it_is_read() -> None:
    net = dense()
    readers = lasso.consumers(net)
    assert sorted(readers) == list(range(len(encode([net.config])[0])))
    for column, reader in readers.items():
        channels = reader.weight.shape[1]
        assert channels == encode([net.config])[0][column]
    assert readers[len(NETWORK.depths)] is net.fc
    assert readers[1] is net.layers()[1, "conv1"][0]


def test_writers_of_a_stage_are_all_that_add_to_its_stream() -> None:
    found = writers(dense())
    assert [len(found[column]) for column in range(3)] == [1, 3, 2]
    assert filters(found[1]).shape[0] == NETWORK.dense().stages[0]


def test_combinations_and_names() -> None:
    assert parts("l1+fpgm") == ["l1", "fpgm"]
    for wrong in ("l3", "l1+l1", "", "l1+", "l1,fpgm"):
        with pytest.raises(CriterionError, match=r"criteria are fpgm, gamma, .* but got"):
            parts(wrong)


def small() -> ChannelConfig:
    return ChannelConfig(3, (9, 20), ((2, 3), (0, 0), (5, 4)))


def test_surgery_of_channels_that_do_nothing_changes_nothing() -> None:
    net, config = dense(3), small()
    with torch.no_grad():  # the second block, which goes, adds nothing
        _, norm = net.layers()[1, "conv3"]
        norm.weight.zero_()
        norm.bias.zero_()
    rng = np.random.default_rng(0)
    widths = encode([config])[0]
    whole = encode([net.config])[0]
    importance = {column: rng.random(width) for column, width in enumerate(whole)}
    for shape in convolutions(net.network, net.config):
        gone = np.argsort(-importance[shape.column])[widths[shape.column] :]
        _, norm = net.layers()[shape.block, shape.part]
        with torch.no_grad():
            norm.weight[gone] = 0
            norm.bias[gone] = 0
    images, _ = DATA.val.batch(torch.arange(8))
    with torch.no_grad():
        pruned = prune(net, config, importance)
        assert pruned.config == config
        torch.testing.assert_close(pruned(images), net(images), rtol=1e-4, atol=1e-4)


def test_surgery_refuses_what_is_wider() -> None:
    net = dense()
    importance = {c: np.ones(w) for c, w in enumerate(encode([net.config])[0])}
    with pytest.raises(ConfigError, match=r"column 0 must be <= 4, .* got 5"):
        prune(net, replace(net.config, stem=5), importance)


def trained(recipe: Recipe, folder: Path) -> ResNet:
    torch.manual_seed(0)
    net = ResNet(NETWORK, NETWORK.dense())
    train(net, DATA, recipe, folder, seed=0)
    return net


def test_sparse_training_shrinks_the_scales(tmp_path: Path) -> None:
    free = trained(PLAIN, tmp_path / "free")
    sparse = trained(replace(PLAIN, gamma_l1=0.1), tmp_path / "sparse")
    assert scales_l1(sparse) < 0.9 * scales_l1(free)


def test_soft_pruning_zeroes_and_lets_grow(tmp_path: Path) -> None:
    net = dense()
    zero_smallest(net, 0.5)
    norms = net.layers()[0, "conv2"][0].weight.flatten(1).norm(dim=1)
    assert int((norms == 0).sum()) == len(norms) // 2
    soft = trained(replace(PLAIN, soft_rate=0.5), tmp_path / "soft")
    plain = trained(PLAIN, tmp_path / "plain")
    ratios = []
    for model in (soft, plain):
        norms = model.layers()[0, "conv2"][0].weight.detach().flatten(1).norm(dim=1)
        ratios.append(float(norms.sort().values[: len(norms) // 2].sum() / norms.sum()))
    assert 0 < ratios[0] < ratios[1]
