"""Checkpoints: whole or not loaded."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.checkpoint import KEPT, Checkpoint, load_latest, remove_all, save
from training.files import read_sealed, write_sealed


def checkpoint(step: int) -> Checkpoint:
    tensors = {"w": torch.arange(6.0).reshape(2, 3) + step, "n": torch.tensor(step)}
    return Checkpoint(step=step, tensors=tensors, state={"loss": 0.1 + step, "rng": "00ff"})


def equal(a: Checkpoint, b: Checkpoint) -> bool:
    same = a.tensors.keys() == b.tensors.keys()
    tensors = same and all(torch.equal(a.tensors[k], b.tensors[k]) for k in a.tensors)
    return tensors and a.step == b.step and a.state == b.state


def test_what_is_saved_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    assert load_latest(tmp_path / "absent") is None
    for step in (1, 20, 300, 1000):
        save(tmp_path, checkpoint(step))
    found = load_latest(tmp_path)
    assert found is not None
    assert equal(found, checkpoint(1000))
    assert len(list(tmp_path.iterdir())) == 2 * KEPT
    remove_all(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_channels_last_tensors_survive(tmp_path: Path) -> None:
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    layout = weight.to(memory_format=torch.channels_last)
    save(tmp_path, Checkpoint(step=1, tensors={"w": layout}, state={}))
    found = load_latest(tmp_path)
    assert found is not None
    assert torch.equal(found.tensors["w"], weight)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_flipped_bit_or_a_torn_file_is_never_loaded(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(folder, checkpoint(1))
        save(folder, checkpoint(2))
        suffix = data.draw(st.sampled_from([".json", ".safetensors"]))
        path = folder / f"step-{2:09d}{suffix}"
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        else:
            del content[place:]
        path.write_bytes(content)
        found = load_latest(folder)
        assert found is not None
        # A flip between JSON tokens may leave the meaning, and then the checkpoint is whole.
        blank = suffix == ".json" and equal(found, checkpoint(2))
        assert blank or equal(found, checkpoint(1))


def test_no_manifest_no_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, checkpoint(1))
    os.remove(tmp_path / f"step-{1:09d}.json")
    (tmp_path / "step-junk.json").write_text("{}")
    assert load_latest(tmp_path) is None


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        save(tmp_path, Checkpoint(step=1, tensors={}, state={"loss": float("nan")}))
    assert load_latest(tmp_path) is None


@given(
    st.dictionaries(
        st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    )
)
def test_sealed_files_return_exactly_what_was_written(value: dict[str, float | str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "file.json"
        write_sealed(path, value)
        assert read_sealed(path) == value
        assert [p.name for p in path.parent.iterdir()] == ["file.json"]
