"""Holding a bundle to its claims on this machine, one verdict per claim.

What cannot be checked here is said to be unchecked, and why; it never counts as passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from bundle.claims import Accuracy, Latency, identity
from bundle.load import network
from bundle.manifest import FILES, ONNX, BundleError
from bundle.reading import Bundle
from export.onnx_file import ExportError, batch_of, max_difference
from export.running import logits
from profiler.backend import BackendError, load
from profiler.collect import compare
from profiler.models import File, Model, Whole
from profiler.protocol import Protocol
from profiler.stats import paired_ratio, wilson
from supernet.arithmetic import count
from training.data import load as load_data
from training.images import DataError, evaluation_batches

if TYPE_CHECKING:
    from training.data import Data

Verdict = Literal["pass", "fail", "not checked"]
TOLERANCE = 1e-4
"""Of ONNX outputs against torch's, in units of the largest logit."""
SLOWER = 0.05
"""Share of a claimed speed-up that another day on the same target may cost."""
SAME_IMAGES = 0.003
"""Accuracies of one file on the same images differ by rounding alone between machines."""


@dataclass(frozen=True, slots=True)
class Check:
    """One claim: what it says, what was found, and why it was not checked or failed."""

    claim: str
    verdict: Verdict
    claimed: str = ""
    found: str = ""
    note: str = ""


def verify(
    bundle: Bundle,
    *,
    data: tuple[str, Path | None] | None = None,
    latency: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> Iterator[Check]:
    """Checks in order of their cost; `bundle` is open, so its files are whole already.

    Args:
        data: name and path of the images that accuracies are checked on; None for those that the
            bundle names, where they are found without a path.
        latency: also measure, which takes a minute and wants the machine for itself.
    """
    yield Check("files", "pass", found="as the manifest says; graphs of known operators only")
    yield from _costs(bundle)
    yield from _outputs(bundle)
    yield from _accuracies(bundle, data)
    yield from _latencies(bundle, latency, progress)


def _costs(bundle: Bundle) -> Iterator[Check]:
    claims = bundle.claims
    for name, found in zip(("MACs", "params"), count(claims.spec(), claims.widths()), strict=True):
        claimed = getattr(claims, name.lower())
        yield _compared(name, f"{claimed:,}", f"{found:,}", claimed == found)


def _outputs(bundle: Bundle) -> Iterator[Check]:
    name = "ONNX against weights"
    try:
        net = network(bundle)
        found = max_difference(net, bundle.folder / ONNX, torch.from_numpy(_noise(bundle)))
    except (BundleError, ExportError) as error:
        yield Check(name, "fail", note=str(error))
        return
    yield _compared(name, f"{TOLERANCE:g}", f"{found:.1e}", found <= TOLERANCE)


def _accuracies(bundle: Bundle, given: tuple[str, Path | None] | None) -> Iterator[Check]:
    claimed_of = bundle.claims.accuracy
    if not claimed_of:
        # Else a bundle could pass by claiming nothing of what it is for.
        yield Check(
            "accuracy", "fail", note="a bundle must claim the accuracy of a file of its own"
        )
        return
    for precision in sorted({"fp32", "int8"} - set(claimed_of)):
        if bundle.file(FILES[precision]) is not None:
            note = f"nothing is claimed of {FILES[precision]}"
            yield Check(f"accuracy, {precision}", "not checked", note=note)
    try:
        images = images_of(bundle, given)
    except DataError as error:
        for precision in claimed_of:
            wanted = _share(claimed_of[precision])
            yield Check(f"accuracy, {precision}", "not checked", wanted, note=str(error))
        return
    same = images.fingerprint == bundle.claims.data.fingerprint
    for precision, claimed in claimed_of.items():
        yield _accuracy(bundle, precision, claimed, images, same)


def _accuracy(bundle: Bundle, precision: str, claimed: Accuracy, images: Data, same: bool) -> Check:
    name, path = f"accuracy, {precision}", bundle.file(FILES[precision])
    if path is None:
        return Check(name, "fail", _share(claimed), note=f"{FILES[precision]} is missing")
    size = len(_noise(bundle))
    batches = (batch.contiguous().numpy() for batch, _ in evaluation_batches(images.test, size))
    try:
        chosen = logits(path, batches).argmax(axis=1)
    except ExportError as error:
        return Check(name, "fail", _share(claimed), note=str(error))
    found = float((chosen == images.test.labels.numpy()).mean())
    if same and claimed.n != len(chosen):
        note = f"claimed of {claimed.n:,} images, but these are {len(chosen):,}"
        return Check(name, "fail", _share(claimed), f"{found:.4f}", note)
    # A wider one would let any accuracy pass. Shares rounded to four digits move it as little.
    if not np.allclose(wilson(claimed.test, claimed.n), (claimed.lo, claimed.hi), atol=1e-3):
        note = f"no 95 % interval of that share of {claimed.n:,} images"
        return Check(name, "fail", _share(claimed), f"{found:.4f}", note)
    if same:
        fits = abs(found - claimed.test) <= SAME_IMAGES
        note = f"the same {len(chosen):,} images"
    else:
        fits = claimed.lo <= found <= claimed.hi
        note = f"{len(chosen):,} other images, so held against the interval"
    return _compared(name, _share(claimed), f"{found:.4f}", fits, note)


def _latencies(
    bundle: Bundle, wanted: bool, progress: Callable[[int, int, str], None]
) -> Iterator[Check]:
    for claimed in bundle.claims.latency:
        name = f"speed-up, {claimed.precision}"
        if not wanted:
            yield Check(name, "not checked", _times(claimed), note="measured with --latency")
            continue
        try:
            yield _latency(bundle, name, claimed, progress)
        except BackendError as error:
            yield Check(name, "not checked", _times(claimed), note=str(error))


def _latency(
    bundle: Bundle, name: str, claimed: Latency, progress: Callable[[int, int, str], None]
) -> Check:
    """The file and the dense network as fp32 in the same passes, as when it was claimed."""
    path = bundle.file(FILES[claimed.precision])
    if path is None:
        return Check(name, "fail", _times(claimed), note=f"{FILES[claimed.precision]} is missing")
    backend = load(claimed.target["runtime"])
    if reason := backend.unavailable():
        raise BackendError(reason)
    target = backend.target("fp32", claimed.target["batch"], claimed.target["threads"])
    spec = bundle.claims.spec()
    models: dict[str, Model] = {"dense": Whole(spec, spec.dense()), "file": File(str(path))}
    measured = compare(target, models, Protocol(), progress)
    ratio = paired_ratio(measured["dense"].adjusted, measured["file"].adjusted)
    found = f"{ratio.median:.2f} ({ratio.lo:.2f}..{ratio.hi:.2f}) times"
    here, there = identity(target), dict(claimed.target)
    if any(here[key] != there.get(key) for key in here if key != "precision"):
        note = f"measured on {target.device}, claimed on {there.get('device')}: not comparable"
        return Check(name, "not checked", _times(claimed), found, note)
    fits = ratio.hi >= (1 - SLOWER) * claimed.times_dense.lo
    return _compared(name, _times(claimed), found, fits, f"{measured['file'].median:.3f} ms here")


def images_of(bundle: Bundle, given: tuple[str, Path | None] | None) -> Data:
    """The images that accuracies are checked on.

    Raises:
        DataError: they are not there.
    """
    claims = bundle.claims.data
    name, path = given or (claims.name, None)
    return load_data(
        name,
        path=path,
        resolution=claims.resolution,
        channels=claims.channels,
        val_size=claims.validation,
        limit=claims.limit,
        seed=claims.seed,
    )


def _noise(bundle: Bundle) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """One batch of the file's size."""
    spec = bundle.claims.spec()
    size = batch_of(bundle.folder / ONNX) or 1
    shape = (size, spec.channels, spec.resolution, spec.resolution)
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _compared(claim: str, claimed: str, found: str, fits: bool, note: str = "") -> Check:
    return Check(claim, "pass" if fits else "fail", claimed, found, note)


def _share(claimed: Accuracy) -> str:
    return f"{claimed.test:.4f} ({claimed.lo:.4f}..{claimed.hi:.4f})"


def _times(claimed: Latency) -> str:
    times = claimed.times_dense
    return f"{times.median:.2f} ({times.lo:.2f}..{times.hi:.2f}) times dense fp32"
