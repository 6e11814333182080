"""mixup and CutMix: what they return, what draws them; hints: what they ask and what they leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from training_toys import RECIPE, Constant, tiny_net, toy_data

from training.cached import cached
from training.hints import Hinted, HintError, features
from training.losses import distillation_loss
from training.mixing import mixed
from training.recipe import Recipe, RecipeError, SupernetRecipe, decides
from training.scratch import train

IMAGES = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 10


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_labels_are_shares_and_images_are_of_two(name: str) -> None:
    recipe = replace(RECIPE, mixup=1.0) if name == "mixup" else replace(RECIPE, cutmix=1.0)
    images, labels = mixed(IMAGES, LABELS, recipe, 10, 0, 0, 1)
    assert labels.shape == (12, 10)
    torch.testing.assert_close(labels.sum(1), torch.ones(12))
    assert (labels > 0).sum(1).max() == 2
    partner = IMAGES.roll(1, 0)
    if name == "cutmix":
        assert ((images == IMAGES) | (images == partner)).all()
    else:
        share = labels.gather(1, LABELS[:, None])[:, :, None, None]
        torch.testing.assert_close(images, share * IMAGES + (1 - share) * partner)


def test_draws_depend_on_the_place_alone() -> None:
    recipe = replace(RECIPE, mixup=0.4, cutmix=1.0)
    before = torch.get_rng_state()
    first = mixed(IMAGES, LABELS, recipe, 10, 0, 3, 5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    again = mixed(IMAGES, LABELS, recipe, 10, 0, 3, 5)
    other = mixed(IMAGES, LABELS, recipe, 10, 0, 3, 6)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_nothing_is_mixed_where_nothing_is_asked_for() -> None:
    assert mixed(IMAGES, LABELS, RECIPE, 10, 0, 0)[1] is LABELS
    assert mixed(IMAGES[:1], LABELS[:1], replace(RECIPE, mixup=1.0), 10, 0, 0)[1].ndim == 1
    assert mixed(IMAGES, LABELS, SupernetRecipe(epochs=2, batch=4, lr=0.1), 10, 0, 0)[1] is LABELS


def test_the_loss_takes_shares_like_labels() -> None:
    logits = torch.randn(12, 10, generator=torch.Generator().manual_seed(1))
    shares = nn.functional.one_hot(LABELS, 10).float()
    options = {"alpha": 0.5, "temperature": 4.0, "label_smoothing": 0.1}
    hard, soft = (distillation_loss(logits, of, None, **options) for of in (LABELS, shares))
    torch.testing.assert_close(hard, soft)


def test_keys_of_older_results_stay_as_they_were() -> None:
    assert {"mixup", "cutmix", "hints"}.isdisjoint(decides(RECIPE))
    assert decides(replace(RECIPE, hints=0.5))["hints"] == 0.5
    recipe = SupernetRecipe(epochs=2, batch=4, lr=0.1)
    assert decides(recipe)["removal"] is None


@pytest.mark.parametrize("field", ["mixup", "cutmix", "hints"])
def test_ranges(field: str) -> None:
    with pytest.raises(RecipeError, match=field):
        Recipe(epochs=2, batch=4, lr=0.1, **{field: -1.0})  # type: ignore[arg-type]


def test_hints_pull_the_stages_together_and_leave_no_trace(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data, teacher = toy_data(), tiny_net(1)
    recipe = Recipe(epochs=6, batch=16, lr=0.05, augment=False, alpha=0.0, clip_norm=5.0, hints=2.0)
    net = tiny_net()
    names = set(net.state_dict())
    result = train(net, data, recipe, tmp_path / "a", seed=0, teacher=teacher)
    assert set(net.state_dict()) == names
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    images, _ = data.val.batch(torch.arange(40))

    def distance(student: nn.Module) -> float:
        """What the best regressor leaves of the last stage's differences, as a share."""
        with torch.no_grad():
            own, theirs = (features(of.eval(), images)[1]["layer2"] for of in (student, teacher))
        x, y = (m.permute(0, 2, 3, 1).flatten(0, 2).double() for m in (own, theirs))
        x = torch.cat([x, torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
        left = y - x @ torch.linalg.lstsq(x, y).solution
        return float(left.square().mean() / y.var())

    plain = tiny_net()
    train(plain, data, replace(recipe, hints=0.0), tmp_path / "b", seed=0, teacher=teacher)
    assert distance(net) < distance(plain)


def test_cached_logits_are_the_teachers(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data, teacher = toy_data(), tiny_net(1).eval()
    recipe = Recipe(epochs=2, batch=16, lr=0.05, augment=False, alpha=0.7)
    asked, kept = tiny_net(), tiny_net()
    train(asked, data, recipe, tmp_path / "a", seed=0, teacher=teacher)
    train(kept, data, recipe, tmp_path / "b", seed=0, teacher=teacher, cache=tmp_path / "c")
    for name, tensor in asked.state_dict().items():
        torch.testing.assert_close(kept.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    (file,) = (tmp_path / "c").iterdir()
    before = file.stat().st_mtime_ns
    found = cached(teacher, data, recipe, tmp_path / "c")
    assert file.stat().st_mtime_ns == before
    images, labels = data.train.batch(torch.tensor([5, 3]))
    with torch.no_grad():
        torch.testing.assert_close(found.of(torch.tensor([5, 3]))[1], teacher(images))
    assert torch.equal(found.of(torch.tensor([5, 3]))[0], labels)
    cached(tiny_net(2), data, recipe, tmp_path / "c")
    assert len(list((tmp_path / "c").iterdir())) == 2
    with pytest.raises(RecipeError, match="need augment off"):
        cached(teacher, data, replace(recipe, augment=True), tmp_path / "c")


def test_hints_need_a_teacher_with_the_same_stages(tmp_path: Path) -> None:
    recipe = replace(RECIPE, hints=0.5)
    with pytest.raises(HintError, match="there is none"):
        train(tiny_net(), toy_data(), recipe, tmp_path, seed=0)
    with pytest.raises(HintError, match="layer1, layer2, but it has none"):
        Hinted(tiny_net(), Constant(torch.zeros(10)), IMAGES)
