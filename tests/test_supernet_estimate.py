"""Recalibration and estimates: exact statistics, identical numbers, and a negative control."""

from __future__ import annotations

import pytest
import torch
from test_supernet_sliced import NETWORK, SPACE, config_inside, images_of, supernet_of
from torch import Tensor, nn

from supernet.estimate import EstimateError, Estimator, accuracy, recalibrate, weights_hash
from supernet.sliced import SlicedSupernet


def batches_of(n: int, size: int = 8) -> list[Tensor]:
    return list(torch.split(images_of(NETWORK, n * size), size))


def labelled(n: int) -> list[tuple[Tensor, Tensor]]:
    labels = torch.arange(n * 8) % NETWORK.classes
    return list(zip(batches_of(n), torch.split(labels, 8), strict=True))


class Fixed(nn.Module):
    """Says class 1 for images whose mean is positive, else class 0."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(1, 2, 3)) * self.scale
        return torch.stack([-mean, mean], dim=1)


def test_recalibration_takes_the_plain_mean_over_batches() -> None:
    net = supernet_of(SPACE).extract(config_inside())
    batches = batches_of(3)
    recalibrate(net, batches)
    with torch.no_grad():
        outputs = [net.conv1(batch) for batch in batches]
    mean = torch.stack([out.mean(dim=(0, 2, 3)) for out in outputs]).mean(0)
    var = torch.stack([out.var(dim=(0, 2, 3), unbiased=True) for out in outputs]).mean(0)
    torch.testing.assert_close(net.bn1.running_mean, mean)
    torch.testing.assert_close(net.bn1.running_var, var)


def test_recalibration_forgets_old_statistics_and_restores_the_net() -> None:
    net = supernet_of(SPACE).extract(config_inside())
    weights = {name: p.clone() for name, p in net.named_parameters()}
    recalibrate(net, batches_of(2))
    once = weights_hash(net)
    recalibrate(net, batches_of(2))
    assert weights_hash(net) == once
    assert all(torch.equal(weights[name], p) for name, p in net.named_parameters())
    assert not any(module.training for module in net.modules())
    assert net.bn1.momentum == nn.BatchNorm2d(1).momentum


def test_accuracy_counts() -> None:
    ones = torch.ones(4, 1, 2, 2)
    batches = [(ones, torch.tensor([1, 1, 1, 0])), (-ones[:2], torch.tensor([0, 1]))]
    net = Fixed().train()
    assert accuracy(net, batches) == pytest.approx(4 / 6)
    assert net.training


def test_meaningless_estimates_are_errors() -> None:
    net = supernet_of(SPACE).extract(SPACE.smallest())
    with pytest.raises(EstimateError, match="at least one batch"):
        recalibrate(net, [])
    with pytest.raises(EstimateError, match="at least one image"):
        accuracy(net, [])
    with torch.no_grad():
        net.fc.bias.fill_(float("nan"))
    with pytest.raises(EstimateError, match="NaN"):
        accuracy(net, labelled(1))


def test_same_config_gives_the_identical_number() -> None:
    net = supernet_of(SPACE)
    first, second = (Estimator(net, batches_of(2), labelled(4)) for _ in range(2))
    before = weights_hash(net)
    for config in (SPACE.smallest(), config_inside(), SPACE.largest()):
        assert first(config) == first(config) == second(config)
    assert weights_hash(net) == before


def test_estimates_are_remembered() -> None:
    net = supernet_of(SPACE)
    estimator = Estimator(net, batches_of(1), labelled(1))
    known = estimator(config_inside())
    with torch.no_grad():
        net.full.fc.bias.fill_(float("nan"))
    assert estimator(config_inside()) == known
    with pytest.raises(EstimateError):
        estimator(SPACE.smallest())


def test_images_hash_sees_order_and_batches_but_not_layout() -> None:
    def hashed(batches: list[Tensor]) -> str:
        return Estimator(supernet_of(SPACE), batches, labelled(1)).images_hash

    batches = batches_of(2)
    same = hashed(batches)
    assert same == hashed([batch.to(memory_format=torch.channels_last) for batch in batches])
    shuffled = [batches[0].flip(0), batches[1]]
    others = [batches[::-1], shuffled, [torch.cat(batches)], batches[:1]]
    assert len({same, *map(hashed, others)}) == 5


def test_weights_hash_sees_every_weight_but_not_layout() -> None:
    net = supernet_of(SPACE).extract(config_inside())
    before = weights_hash(net)
    net.to(memory_format=torch.contiguous_format)
    assert weights_hash(net) == before
    assert net.bn1.running_var is not None
    net.bn1.running_var[-1] += 1e-3
    assert weights_hash(net) != before


@pytest.mark.slow
def test_without_recalibration_a_trained_slice_is_misjudged() -> None:
    """Class is the brightest corner; statistics of the largest config do not fit the smallest."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(4, (320,), generator=generator)
    images = torch.randn(320, 3, 16, 16, generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = 8 * (label // 2), 8 * (label % 2)
        image[:, row : row + 8, column : column + 8] += 0.8
    torch.manual_seed(0)
    net = SlicedSupernet(SPACE).train()
    for block in net.full.blocks():
        assert block is not None
        nn.init.ones_(block.bn3.weight)  # so that blocks, and their statistics, count at once
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    train = list(zip(torch.split(images[:256], 32), torch.split(labels[:256], 32), strict=True))
    configs = (SPACE.largest(), SPACE.smallest(), config_inside())
    for batch, target in train * 12:
        optimiser.zero_grad()
        for config in configs:
            torch.autograd.backward(nn.functional.cross_entropy(net(batch, config), target))
        optimiser.step()
    held_out = [(images[256:], labels[256:])]
    estimator = Estimator(net, [batch for batch, _ in train], held_out)
    for config in configs[1:]:
        assert estimator(config) > accuracy(net.extract(config), held_out) + 0.1
