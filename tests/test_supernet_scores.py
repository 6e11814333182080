"""Scores on disk: nothing is scored twice, whoever asks, and nothing stale is believed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from test_supernet_estimate import batches_of, labelled
from test_supernet_sliced import SPACE, config_inside, supernet_of

from search.scoring import Guarded, Outcome
from service.scoring import pooled
from supernet.estimate import Estimator
from supernet.scores import Scores, ScoresError


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Counting(Estimator):
    """Counts how often weights are extracted, which every scoring does."""

    extracted = 0

    def __init__(self, path: Path, seed: int = 0, images: int = 2, judged: int = 4) -> None:
        net = supernet_of(SPACE)
        if seed:
            net.full.fc.bias.data += seed
        super().__init__(net, batches_of(images), labelled(judged), Scores(path))
        extract = net.extract

        def counted(config):  # type: ignore[no-untyped-def]
            self.extracted += 1
            return extract(config)

        net.extract = counted  # type: ignore[method-assign]


def test_a_config_is_scored_once_over_all_runs(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "scores.sqlite"
    configs = [SPACE.smallest(), config_inside(), SPACE.largest()]
    first = Counting(path)
    wanted = [first(config) for config in configs for _ in range(2)][::2]
    assert first.extracted == 3
    second = Counting(path)
    assert second.known(configs) == dict(zip(configs, wanted, strict=True))
    assert [second(config) for config in configs] == wanted
    assert second.extracted == 0


def test_other_weights_images_or_threads_are_other_scores(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    Counting(path)(config_inside())
    assert Counting(path).known([config_inside()])
    for other in (Counting(path, seed=1), Counting(path, images=3), Counting(path, judged=3)):
        assert not other.known([config_inside(), SPACE.largest()])
    torch.set_num_threads(2)
    assert not Counting(path).known([config_inside()])


def test_a_file_of_something_else_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    path.write_text("no database " * 100)
    with pytest.raises(ScoresError, match=r"scores\.sqlite: cannot be used for scores: .*remove"):
        Scores(path).known(["a"])
    with pytest.raises(ScoresError, match="cannot be used"):
        Scores(tmp_path / "scores.sqlite" / "below").keep("a", 0.5)


def test_many_are_found_at_once_and_the_first_stays(tmp_path: Path) -> None:
    scores = Scores(tmp_path / "scores.sqlite")
    for number in range(1200):
        scores.keep(str(number), number / 1200)
    scores.keep("7", 0.0)
    found = pickle.loads(pickle.dumps(scores)).known([str(n) for n in range(2000)])
    assert found == {str(n): n / 1200 for n in range(1200)}


def test_two_processes_score_as_one_does(tmp_path: Path) -> None:
    configs = [SPACE.smallest(), config_inside(), SPACE.largest()]
    alone = Estimator(supernet_of(SPACE), batches_of(2), labelled(4))
    wanted = [Outcome(estimate=alone(config)) for config in configs]
    path = tmp_path / "scores.sqlite"
    for known in (0, 3):
        shared = Estimator(supernet_of(SPACE), batches_of(2), labelled(4), Scores(path))
        assert len(shared.known(configs)) == known
        with pooled(shared, 2) as mapper:
            assert list(mapper(Guarded(shared), configs)) == wanted
    assert len({outcome.estimate for outcome in wanted}) > 1
