"""The ranking study: its protocol is what was frozen, its figures are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.ranking.__main__ import pieces
from benchmarks.ranking.images import pack, read
from benchmarks.ranking.protocol import STUDIES, TARGET, WITHIN, configs, load, make
from benchmarks.ranking.report import keyed, study
from benchmarks.ranking.stats import bootstrap, difference, precision, regret, rho, tau

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
TINY = "tiny-imagenet-20"
SCORES = st.lists(st.integers(0, 30), min_size=3, max_size=20, unique=True)


@pytest.mark.parametrize(("name", "count"), [(TINY, 55), ("fashion-mnist", 25)])
def test_the_protocol_is_the_one_that_was_frozen(name: str, count: int) -> None:
    frozen, study = load(name), STUDIES[name]
    assert json.loads(json.dumps(make(name))) == frozen
    wanted = configs(frozen)
    assert len(wanted) == len(set(wanted.values())) == count
    for label, config in wanted.items():
        study.space.check(config)
        if not label.startswith("wide"):
            off = study.costs(config)["macs"] / frozen["band_macs"] - 1
            assert abs(off) <= WITHIN + 1e-9
    assert frozen["band_macs"] == TARGET * study.costs(study.network.dense())["macs"]


def values(found: object) -> object:
    """Figures without their intervals, which take a minute."""
    if isinstance(found, dict):
        return {k: values(v) for k, v in found.items() if k not in ("low", "high")}
    return found


@pytest.mark.parametrize("file", sorted(RESULTS.glob("ranking-*.json")), ids=lambda path: path.stem)
def test_the_figures_follow_from_the_rows(file: Path) -> None:
    kept = json.loads(file.read_text(encoding="utf-8"))
    rows = {(row["kind"], row["name"], row["seed"]): row for row in kept.pop("rows")}
    data = file.stem.removeprefix("ranking-")
    assert values(study(rows, resamples=2, data=data)) == values(kept)


def test_proposals_are_set_beside_the_band() -> None:
    kept = json.loads((RESULTS / f"ranking-{TINY}.json").read_text(encoding="utf-8"))
    rows = {(row["kind"], row["name"], row["seed"]): row for row in kept["rows"]}
    for seed, test in ((0, 0.75), (1, 0.25)):
        rows["net", "proposed-0", seed] = {"test": test}
    found = study(rows, resamples=2)["proposed"]
    assert found["proposed_mean"] == found["proposed_best"] == 0.5
    assert found["band_configs"] == 15
    assert found["band_mean"] < found["band_best"]


@given(SCORES)
def test_orders_agree_with_themselves_and_oppose_their_reverse(scores: list[int]) -> None:
    truth = np.array(scores, dtype=float)
    assert tau(truth, truth) == pytest.approx(1)
    assert rho(-truth, truth) == pytest.approx(-1)
    assert regret(truth, truth, 1) == 0
    assert precision(truth, truth, 5) == 1
    assert 0 <= regret(-truth, truth, 2) <= 100 * np.ptp(truth)


def test_constant_predictors_say_nothing() -> None:
    truth = np.arange(6.0)
    assert tau(np.ones(6), truth) == 0
    assert rho(np.ones(6), truth) == 0


def test_intervals_hold_the_figure_and_are_the_same_again() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(20)
    near, noise = truth + 0.1 * rng.random(20), rng.random(20)
    found = bootstrap(tau, near, truth)
    assert found.low < found.value < found.high
    assert found == bootstrap(tau, near, truth)
    assert difference(near, noise, truth).low > 0


def test_images_are_packed_cropped_and_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 4)):
        for name in ("a", "b"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.JPEG")
    pack(tmp_path, tmp_path / "images.npz")
    import torch

    data = read(tmp_path / "images.npz", "cpu", validation=6)
    assert (len(data.train), len(data.val), len(data.test)) == (18, 6, 8)
    index = torch.arange(4)
    plain, labels = data.train.batch(index)
    assert plain.shape == (4, 3, 64, 64)
    assert torch.equal(plain, data.train.batch(index)[0])
    cropped, same = data.train.batch(index, torch.Generator().manual_seed(1))
    again, _ = data.train.batch(index, torch.Generator().manual_seed(1))
    assert torch.equal(cropped, again)
    assert torch.equal(labels, same)
    assert not torch.equal(cropped, plain)
    assert cropped.abs().max() <= plain.abs().max() + 3


def test_pieces_come_as_they_are_wanted_and_their_rows_are_read(tmp_path: Path) -> None:
    protocol = load()
    found = list(pieces(protocol, (protocol, tmp_path, "cpu"), list(protocol["supernets"]), [0], 0))
    names = [piece.name for piece in found]
    assert names[:3] == [f"supernet {name} 0" for name in ("sandwich", "single", "pruningnet")]
    assert len(set(names)) == len(names) == 3 + 2 * protocol["proposed"] + 3 * 55
    assert {need for piece in found for need in piece.needs} == {names[0]}
    alone = list(pieces(protocol, (), ["single"], [0, 1], 2))
    assert [piece.name for piece in alone][:2] == ["supernet single 0", "supernet single 1"]
    assert len(alone) == 2 + 3 * 2
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"piece": "net wide-0 2", "test": 0.5}\n{"piece": "net wi')
    assert keyed(rows) == {
        ("net", "wide-0", 2): {"kind": "net", "name": "wide-0", "seed": 2, "test": 0.5}
    }
