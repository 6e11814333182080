"""Two processes train as one does with the same batch; curves; parts of a batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_toys import RECIPE as SCRATCH
from training_toys import SPACE, SUPERNET_RECIPE, tiny_net, toy_data

from supernet.source import build
from training.errors import TrainingError
from training.scalars import tensorboard
from training.scratch import train as scratch
from training.supernet_loop import train_supernet
from training.task import DEFAULTS, Control

ROOT = Path(__file__).parent.parent
RECIPE = replace(SUPERNET_RECIPE, clip_norm=5.0, ema=0.9)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def train(folder: Path, accumulate: int, control: Control = DEFAULTS) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = build("sliced", SPACE)
    recipe = replace(RECIPE, accumulate=accumulate)
    result = train_supernet(supernet, SPACE, toy_data(), recipe, folder, seed=3, control=control)
    return result.weights


def train_plain(folder: Path, accumulate: int) -> Path:
    """From scratch with everything that looks at a part of a batch."""
    recipe = replace(SCRATCH, accumulate=accumulate, mixup=0.4, cutmix=1.0, hints=0.2)
    teacher = tiny_net(1)
    return scratch(tiny_net(), toy_data(), recipe, folder, seed=3, teacher=teacher).weights


def processes(folder: Path, count: int, call: str = "train") -> None:
    """What torchrun does: `count` processes that know of each other by their environment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = (
        "import sys; from pathlib import Path; import torch; torch.set_num_threads(1); "
        f"import test_training_ranks as tests; tests.{call}(Path(sys.argv[1]), 1)"
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            env={**os.environ, **common, "RANK": str(rank), "PYTHONPATH": paths},
        )
        for rank in range(count)
    ]
    assert [process.wait(120) for process in running] == [0] * count


@pytest.mark.parametrize("call", [train, train_plain])
def test_two_processes_equal_one_with_the_same_batch(
    tmp_path: Path, call: Callable[[Path, int], Path]
) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    call(alone, 2)
    processes(together, 2, call.__name__)
    one, two = (load_file(folder / "weights.safetensors") for folder in (alone, together))
    trained = [name for name in one if "running" not in name and "batches" not in name]
    assert len(trained) > 20
    for name in trained:
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-4)
    losses = [
        [
            row["loss"]
            for row in json.loads((folder / "weights.json").read_text())["value"]["state"][
                "history"
            ]
        ]
        for folder in (alone, together)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert sorted(path.name for path in together.iterdir()) == [
        "weights.json",
        "weights.safetensors",
    ]


def test_a_batch_in_parts_gives_other_statistics_but_like_weights(tmp_path: Path) -> None:
    whole, parts = (load_file(train(tmp_path / str(n), accumulate=n)) for n in (1, 2))
    assert not torch.equal(whole["full.fc.weight"], parts["full.fc.weight"])
    cosine = torch.cosine_similarity(
        whole["full.fc.weight"].flatten(), parts["full.fc.weight"].flatten(), dim=0
    )
    assert cosine > 0.9


def test_more_parts_than_images_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.ranks.Ranks.__init__", _of_seventeen)
    with pytest.raises(TrainingError, match="batch 16 is less than 17 processes"):
        train(tmp_path, accumulate=1)


def _of_seventeen(ranks: object, device: torch.device) -> None:
    ranks.device, ranks.count, ranks.rank = device, 17, 0  # type: ignore[attr-defined]


def test_curves_are_written_for_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with tensorboard(tmp_path / "curves") as chart:
        train(tmp_path / "run", 1, Control(chart=chart))
    events = accumulator.EventAccumulator(str(tmp_path / "curves")).Reload()
    assert {"loss", "lr", "images_per_s", "val_accuracy_largest"} <= set(events.Tags()["scalars"])
    assert len(events.Scalars("loss")) == 10  # 80 images, 16 a step, two epochs
    assert len(events.Scalars("val_accuracy_largest")) == 2
    assert all(event.value > 0 for event in events.Scalars("images_per_s"))
