"""A killed training ends with the same bits as an undisturbed one."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from training_toys import RUNS, run_and_die, save_for_ever

from training.checkpoint import load_latest
from training.errors import TrainingStopped
from training.task import Control, silent

POINTS = int(os.environ.get("STAIRPRUNE_TRAIN_KILLS", "1"))
SAVES = int(os.environ.get("STAIRPRUNE_SAVE_KILLS", "5"))
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["training.scratch", "training.supernet_loop"])


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=sorted(RUNS))
def undisturbed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("undisturbed")
    RUNS[request.param](folder, silent, Control())
    return request.param, digest(folder)


def digest(folder: Path) -> str:
    """Of the weights and of the history beside them."""
    files = [folder / "weights.safetensors", folder / "weights.json"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def die(kind: str, folder: Path, how: str, at: int) -> int | None:
    process = CONTEXT.Process(target=run_and_die, args=(kind, folder, how, at))
    process.start()
    process.join(120)
    return process.exitcode


@pytest.mark.slow
def test_killed_at_several_steps_ends_bit_equal(
    undisturbed: tuple[str, str], tmp_path: Path
) -> None:
    kind, wanted = undisturbed
    # A step each: before any checkpoint, off a checkpoint, at an epoch's end and after it.
    for at in (1, 3, 2, 3):
        assert die(kind, tmp_path, "step", at) == -signal.SIGKILL
    assert load_latest(tmp_path) is not None
    RUNS[kind](tmp_path, silent, Control(save_every_steps=3))
    assert digest(tmp_path) == wanted


@pytest.mark.slow
def test_killed_inside_a_save_ends_bit_equal(undisturbed: tuple[str, str], tmp_path: Path) -> None:
    kind, wanted = undisturbed
    # A save syncs the tensors, the folder, the manifest, the folder.
    for at in (1, 3, 4, 6):
        assert die(kind, tmp_path, "sync", at) == -signal.SIGKILL
    RUNS[kind](tmp_path, silent, Control())
    assert digest(tmp_path) == wanted


@pytest.mark.slow
def test_killed_at_random_points_ends_bit_equal(
    undisturbed: tuple[str, str], tmp_path: Path
) -> None:
    """`STAIRPRUNE_TRAIN_KILLS` points per kind of training; `make chaos` takes 50."""
    kind, wanted = undisturbed
    draws = random.Random(kind)
    for number in range(POINTS):
        folder = tmp_path / str(number)
        how, most = draws.choice((("step", 10), ("sync", 16)))
        assert die(kind, folder, how, draws.randint(1, most)) == -signal.SIGKILL
        RUNS[kind](folder, silent, Control())
        assert digest(folder) == wanted, (how, number)


@pytest.mark.slow
def test_killed_while_saving_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """`STAIRPRUNE_SAVE_KILLS` kills at random moments of saving without a pause."""
    draws, reached, middle = random.Random(0), 0, 0
    for _ in range(SAVES):
        process = CONTEXT.Process(target=save_for_ever, args=(tmp_path,))
        process.start()
        deadline = time.monotonic() + 60
        while (found := load_latest(tmp_path)) is None or found.step <= reached:
            assert time.monotonic() < deadline
        time.sleep(draws.uniform(0, 0.02))
        process.kill()
        process.join(60)
        middle += any(path.suffix == ".tmp" for path in tmp_path.iterdir())
        found = load_latest(tmp_path)
        assert found is not None
        assert found.step > reached
        assert found.state == {"step": found.step}
        assert all(bool((t == found.step).all()) for t in found.tensors.values())
        reached = found.step
    if SAVES >= 50:
        assert middle > SAVES // 10  # or the kills never met a save


def test_stopped_after_every_step_ends_bit_equal(
    undisturbed: tuple[str, str], tmp_path: Path
) -> None:
    kind, wanted = undisturbed
    rounds = 0
    while True:
        answers = iter([False, True])
        rounds += 1
        try:
            RUNS[kind](tmp_path, silent, Control(stop=lambda a=answers: next(a)))  # type: ignore[misc]
            break
        except TrainingStopped:
            continue
    assert rounds > 8
    assert digest(tmp_path) == wanted


def test_a_finished_folder_returns_at_once(undisturbed: tuple[str, str], tmp_path: Path) -> None:
    kind, wanted = undisturbed
    first = RUNS[kind](tmp_path, silent, Control())
    steps: list[int] = []
    again = RUNS[kind](tmp_path, lambda done, total, note: steps.append(done), Control())
    assert steps == []
    assert again == first
    assert digest(tmp_path) == wanted
    assert sorted(p.name for p in tmp_path.iterdir()) == ["weights.json", "weights.safetensors"]
