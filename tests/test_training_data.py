"""Datasets: the contract of every plugin, splits, augmentation, damage."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import CIFAR10

from training.data import Data, Request, dataset, load, names, split
from training.datasets.fashion_mnist import FILES, read_idx
from training.datasets.imagefolder import centre_box, random_box
from training.images import DataError, MemorySet, Subset, evaluation_batches, shift_and_flip

RNG = np.random.default_rng(0)


def fashion_mnist(folder: Path) -> None:
    for name in FILES:
        count = 60 if name.startswith("train") else 20
        shape = (count, 28, 28) if "images" in name else (count,)
        values = np.arange(count) % 10 if len(shape) == 1 else RNG.integers(0, 256, shape)
        head = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
        (folder / name).write_bytes(gzip.compress(head + values.astype(np.uint8).tobytes()))


def imagefolder(folder: Path) -> None:
    for part, count in (("train", 12), ("val", 4)):
        for label in ("ant", "bee"):
            (folder / part / label).mkdir(parents=True)
            for number in range(count):
                size = (30 + number, 40, 3) if number % 2 else (40, 30 + number, 3)
                pixels = RNG.integers(0, 256, size, dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{number}.png")
    Image.new("L", (50, 50), 128).save(folder / "train" / "ant" / "grey.png")


def cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "cifar-10-batches-py").mkdir()
    sums = []
    classes = [f"c{i}" for i in range(10)]
    contents: list[tuple[str, dict[str, Any]]] = [
        ("data_batch_1", {"data": RNG.integers(0, 256, (60, 3072), dtype=np.uint8)}),
        ("test_batch", {"data": RNG.integers(0, 256, (20, 3072), dtype=np.uint8)}),
        ("batches.meta", {"label_names": classes}),
    ]
    for name, content in contents:
        labels = [i % 10 for i in range(len(content.get("data", ())))]
        raw = pickle.dumps({**content, "labels": labels})
        (folder / "cifar-10-batches-py" / name).write_bytes(raw)
        sums.append([name, hashlib.md5(raw).hexdigest()])
    monkeypatch.setattr(CIFAR10, "train_list", sums[:1])
    monkeypatch.setattr(CIFAR10, "test_list", sums[1:2])
    meta = {"filename": sums[2][0], "key": "label_names", "md5": sums[2][1]}
    monkeypatch.setattr(CIFAR10, "meta", meta)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that every dataset can read its own small files from."""
    fashion_mnist(tmp_path)
    imagefolder(tmp_path)
    cifar10(tmp_path, monkeypatch)
    return tmp_path


def small(name: str, place: Path, channels: int = 1, seed: int = 0) -> Data:
    val_size = 8 if name == "imagefolder" else 20
    return load(name, path=place, resolution=16, channels=channels, val_size=val_size, seed=seed)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", names())
def test_contract(name: str, channels: int, place: Path) -> None:
    assert dataset(name).summary
    assert dataset(name).unavailable(place) is None
    data = small(name, place, channels)
    for images in (data.train, data.val, data.test):
        indices = torch.tensor([2, 0, 1])
        batch, labels = images.batch(indices)
        assert batch.shape == (3, channels, 16, 16)
        assert batch.dtype == torch.float32
        assert labels.dtype == torch.int64
        assert torch.equal(labels, images.labels[indices])
        assert torch.equal(batch, images.batch(indices)[0])
        draws = [images.batch(indices, torch.Generator().manual_seed(s))[0] for s in (0, 0, 1)]
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])
        assert images.classes == data.classes
        assert int(images.labels.max()) < len(data.classes)
    assert data.fingerprint == small(name, place, channels).fingerprint
    assert data.fingerprint != small(name, place, channels, seed=1).fingerprint
    assert data.fingerprint != small(name, place, 4 - channels).fingerprint


@pytest.mark.parametrize("name", names())
def test_missing_data_is_one_clear_line(name: str, tmp_path: Path) -> None:
    reason = dataset(name).unavailable(tmp_path)
    if reason is None:
        assert name == "digits"
        return
    with pytest.raises(DataError) as error:
        small(name, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_names_and_channels_are_refused() -> None:
    with pytest.raises(DataError, match="cifar10, digits, fashion-mnist, imagefolder"):
        load("mnist", resolution=8, channels=1)
    with pytest.raises(DataError, match="1 or 3 channels, but the network asks for 4"):
        load("digits", resolution=8, channels=4)


def test_digits_parts_are_disjoint_stratified_and_whole() -> None:
    data = load("digits", resolution=8, channels=1, val_size=0.25)
    assert isinstance(data.train, Subset)
    assert isinstance(data.val, Subset)
    train, val = set(data.train.indices.tolist()), set(data.val.indices.tolist())
    assert not train & val
    assert len(train) + len(val) + len(data.test) == 1797
    for part in (data.train, data.val, data.test):
        shares = torch.bincount(part.labels) / len(part)
        assert (shares - 0.1).abs().max() < 0.012
    pixels = torch.cat([images for images, _ in evaluation_batches(data.train)])
    assert abs(pixels.mean().item()) < 0.05
    assert abs(pixels.std().item() - 1) < 0.05


@given(
    st.lists(st.integers(10, 60), min_size=2, max_size=5),
    st.floats(0.1, 0.6),
    st.integers(0, 9),
)
def test_split_is_a_stratified_partition(counts: list[int], size: float, seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    rest, part = split(labels, size, seed)
    assert sorted([*rest.tolist(), *part.tolist()]) == list(range(len(labels)))
    assert len(part) == round(size * len(labels))
    for label, count in enumerate(counts):
        assert abs(int((labels[part] == label).sum()) - len(part) * count / len(labels)) <= 1
    assert torch.equal(part, split(labels, size, seed)[1])


def test_impossible_splits_and_limits(place: Path) -> None:
    with pytest.raises(DataError, match="a stratified part of 5 images"):
        load("digits", resolution=8, channels=1, val_size=5)
    limited = load("digits", resolution=8, channels=1, val_size=300, limit=100)
    whole = load("digits", resolution=8, channels=1, val_size=300)
    assert len(limited.train) == 100
    assert len(limited.val) == 300
    assert isinstance(limited.val, Subset)
    assert isinstance(whole.val, Subset)
    assert torch.equal(limited.val.indices, whole.val.indices)
    assert limited.fingerprint != whole.fingerprint


def test_grey_is_repeated_and_colour_becomes_luma(place: Path) -> None:
    grey = small("digits", place, 3).train.batch(torch.arange(4))[0]
    assert torch.equal(grey[:, 0], grey[:, 2])
    colour = dataset("cifar10").read(request(place, 3)).train
    luma = dataset("cifar10").read(request(place, 1)).train
    assert isinstance(colour, MemorySet)
    assert isinstance(luma, MemorySet)
    weights = torch.tensor([0.2989, 0.587, 0.114])[:, None, None]
    wanted = (colour.pixels.float() * weights).sum(1, keepdim=True)
    assert (luma.pixels.float() - wanted).abs().max() <= 1.5


def request(place: Path, channels: int) -> Request:
    return Request(path=place, resolution=32, channels=channels, seed=0)


def test_shift_moves_by_at_most_an_eighth_and_flip_mirrors() -> None:
    pixels = torch.zeros(400, 1, 16, 16, dtype=torch.uint8)
    pixels[:, :, 8, 3] = 255
    moved = shift_and_flip(pixels, torch.Generator().manual_seed(0), flip=False)
    spots = moved.nonzero()
    assert len(spots) == 400
    assert set((spots[:, 2] - 8).tolist()) == {-2, -1, 0, 1, 2}
    assert set((spots[:, 3] - 3).tolist()) == {-2, -1, 0, 1, 2}
    flipped = shift_and_flip(pixels, torch.Generator().manual_seed(0), flip=True).nonzero()
    mirrored = (flipped[:, 3] > 8).float().mean().item()
    assert 0.4 < mirrored < 0.6
    assert set((15 - flipped[flipped[:, 3] > 8][:, 3]).tolist()) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("how", ["cut", "type", "short", "plain"])
def test_damaged_idx_files_are_refused(how: str, tmp_path: Path) -> None:
    head = struct.pack(">HBBI", 0, 9 if how == "type" else 8, 1, 10)
    content = gzip.compress(head + bytes(9 if how == "short" else 10))
    path = tmp_path / "x.gz"
    path.write_bytes({"cut": content[:-9], "plain": head}.get(how, content))
    with pytest.raises(DataError, match=r"x\.gz"):
        read_idx(path)


def test_a_damaged_cifar_file_is_refused(place: Path) -> None:
    path = place / "cifar-10-batches-py" / "data_batch_1"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="cifar10"):
        small("cifar10", place)


def test_a_damaged_image_is_named_and_changes_the_fingerprint(place: Path) -> None:
    before = small("imagefolder", place).fingerprint
    path = place / "val" / "bee" / "0.png"
    path.write_bytes(path.read_bytes()[:200])
    data = small("imagefolder", place)
    assert data.fingerprint != before
    with pytest.raises(DataError, match=r"bee/0\.png"):
        list(evaluation_batches(data.test))


def test_classes_must_agree_between_the_parts(place: Path) -> None:
    (place / "val" / "bee").rename(place / "val" / "cow")
    with pytest.raises(DataError, match=r"\['bee', 'cow'\]"):
        small("imagefolder", place)


def test_evaluation_crop_keeps_the_centre() -> None:
    assert centre_box(512, 256, 224) == (144, 16, 368, 240)
    assert centre_box(64, 64, 64) == (0, 0, 64, 64)


@given(
    st.integers(1, 900),
    st.integers(1, 900),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=5, max_size=5),
)
def test_random_crops_lie_inside(width: int, height: int, draws: list[float]) -> None:
    left, top, right, bottom = random_box(width, height, draws)
    assert 0 <= left < right <= width + 1e-6
    assert 0 <= top < bottom <= height + 1e-6
    assert (right - left) * (bottom - top) <= width * height * (1 + 1e-9)


def test_debian_fashion_mnist_if_installed() -> None:
    if reason := dataset("fashion-mnist").unavailable(None):
        pytest.skip(reason)
    data = load("fashion-mnist", resolution=28, channels=1, val_size=5000, limit=1000)
    assert (len(data.train), len(data.val), len(data.test)) == (1000, 5000, 10000)
    assert torch.equal(torch.bincount(data.test.labels), torch.full((10,), 1000))
    assert replace(data, name="x").classes == data.classes
