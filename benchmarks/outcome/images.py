"""The study's images, all in the device's memory; see `benchmarks.ranking.images`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.outcome.study import Study
from benchmarks.ranking import images
from training.data import Data, Request, dataset
from training.images import MemorySet

PACKED = "images.npz"


def pack(study: Study) -> None:
    """Writes the data set of the spec as one file of pixels into the study's folder."""
    target = study.folder / PACKED
    if target.exists():
        return
    study.folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name("packing.npz")
    if study.spec.data.name == "imagefolder":
        assert study.spec.data.path is not None
        images.pack(study.spec.data.path, part)
    else:
        _pack_named(study, part)
    part.replace(target)


def read(study: Study, device: str) -> Data:
    """Training, search-validation and test images on a device."""
    spec = study.spec
    return images.read(
        study.folder / PACKED, device, spec.data.validation, spec.seed, name=spec.name
    )


def _pack_named(study: Study, target: Path) -> None:
    network, data = study.spec.network, study.spec.data
    request = Request(
        path=data.path,
        resolution=network.resolution,
        channels=network.channels,
        seed=study.spec.seed,
    )
    source = dataset(data.name).read(request)
    assert isinstance(source.train, MemorySet)
    assert isinstance(source.test, MemorySet)
    arrays = {"classes": np.array(source.train.classes)}
    for part, found in (("train", source.train), ("val", source.test)):
        arrays[f"{part}_images"] = found.pixels.permute(0, 2, 3, 1).numpy()
        arrays[f"{part}_labels"] = found.labels.numpy()
    np.savez(target, allow_pickle=False, **arrays)
