"""The study's images, all in the device's memory; see `benchmarks.ranking.images`."""

from __future__ import annotations

from benchmarks.outcome.study import Study
from benchmarks.ranking import images
from training.data import Data

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
        data, seed = study.spec.data, study.spec.seed
        images.pack_named(data.name, study.spec.network, part, path=data.path, seed=seed)
    part.replace(target)


def read(study: Study, device: str) -> Data:
    """Training, search-validation and test images on a device."""
    spec = study.spec
    return images.read(
        study.folder / PACKED, device, spec.data.validation, spec.seed, name=spec.name
    )
