"""Stage quantise: every exported network in eight bits, calibrated three ways, the best chosen.

Training images calibrate, search-validation images choose, and the test images tell what the
chosen file reaches. Where the job asks for none, `quantised.json` names no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.int8.form import Form, needs_reduced_range
from service.console import Report, say
from service.job import Job, Stage, always
from service.spec import JobSpec
from service.store import write_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from export.int8.choose import Calibrated
    from training.data import Data
    from training.images import ImageSet

RESULT = "quantised.json"
_SYMMETRIC = ("tensorrt", "modelled")


def settings(spec: JobSpec) -> object:
    """What decides the result."""
    if not spec.quantise.enabled:
        return {"enabled": False}
    return {
        **spec.quantise.model_dump(exclude={"form", "reduce_range", "finetune"}),
        "finetune": None if spec.quantise.finetune is None else asdict(spec.quantise.finetune),
        "form": asdict(form_of(spec)),
        "batch": spec.target.batch,
    }


@cache
def _isa_flags() -> list[str]:
    from profiler import machine

    return machine.isa_flags()


def form_of(spec: JobSpec) -> Form:
    """The eight bits that the target computes with."""
    kind, reduced = spec.quantise.form, spec.quantise.reduce_range
    if kind == "auto":
        symmetric = any(word in spec.target.backend for word in _SYMMETRIC)
        kind = "symmetric" if symmetric else "uint8"
    if reduced is None:
        reduced = kind == "uint8" and needs_reduced_range(_isa_flags())
    return Form(kind=kind, reduce_range=reduced)


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes `<name>.int8.onnx` for every finalist, and `quantised.json`."""
    if not job.spec.quantise.enabled:
        write_json(folder / RESULT, {"networks": {}})
        return [RESULT]
    finalists = list(job.finalists())
    form = form_of(job.spec)
    found: dict[str, Any] = {}
    for number, name in enumerate(finalists):
        progress(number, len(finalists), name)
        found[name] = _network(job, name, folder, form, progress, (number, len(finalists)))
        chosen = found[name]
        say(
            f"  {name}: test accuracy {chosen['fp32']['accuracy']:.4f} as fp32, "
            f"{chosen['int8']['accuracy']:.4f} as int8 ({chosen['chosen']})"
        )
    write_json(folder / RESULT, {"form": str(form), "networks": found})
    return [RESULT, *(f"{name}.int8.onnx" for name in finalists)]


def _network(
    job: Job, name: str, folder: Path, form: Form, progress: Report, place: tuple[int, int]
) -> dict[str, Any]:
    from export.int8.judge import judge
    from export.running import logits

    data, batch, threads = job.data(), job.spec.target.batch, job.spec.cpu_threads or 0
    source = job.file("export", f"{name}.onnx")
    calibration = whole_batches(data.train, batch, job.spec.quantise.images)

    def attempt(path: Path) -> Calibrated:
        return _calibrated(
            job,
            path,
            source,
            folder,
            form,
            calibration,
            data,
            lambda note: progress(*place, f"{name}: {note}"),
        )

    found, tuned = attempt(source), None
    if job.spec.quantise.finetune is not None and name != "dense":
        from service.finetuning import finetuned

        tuned = attempt(finetuned(job, name, folder, data, form, progress))
    best = tuned if tuned and _accuracy(tuned) > _accuracy(found) else found
    chosen = folder / f"{name}.int8.onnx"
    best.files[best.best].replace(chosen)
    for path in {p for c in (found, tuned) if c for p in c.files.values()}:
        path.unlink(missing_ok=True)
    test = Batches(data.test, batch)
    reference = logits(source, test, threads=threads)
    labels = data.test.labels.numpy()
    return {
        "chosen": best.best,
        "finetuned": None if tuned is None else best is tuned,
        "methods": _judged(found),
        "methods_finetuned": None if tuned is None else _judged(tuned),
        "judged_on": len(data.val),
        "calibration_images": sum(map(len, calibration)),
        "n": len(labels),
        "fp32": {"accuracy": float((reference.argmax(axis=1) == labels).mean())},
        "int8": asdict(judge(reference, logits(chosen, test, threads=threads), labels)),
        "layers_db": _layers(job, name, source, form, calibration),
    }


def _calibrated(
    job: Job,
    path: Path,
    reference: Path,
    folder: Path,
    form: Form,
    calibration: Sequence[npt.NDArray[np.float32]],
    data: Data,
    progress: Callable[[str], None],
) -> Calibrated:
    from export.int8.choose import calibrated
    from export.int8.files import convolutions

    spec = job.spec.quantise
    return calibrated(
        path,
        folder,
        form,
        calibration=calibration,
        judging=Batches(data.val, job.spec.target.batch),
        labels=data.val.labels.numpy(),
        methods=spec.methods,
        percentile=spec.percentile,
        keep=sorted(set(spec.keep) & convolutions(path).keys()),  # blocks may be removed
        reference=reference,
        threads=job.spec.cpu_threads or 0,
        progress=progress,
    )


def _judged(found: Calibrated) -> dict[str, Any]:
    return {method: asdict(judged) for method, judged in found.judged.items()}


def _accuracy(found: Calibrated) -> float:
    return found.judged[found.best].accuracy


def _layers(
    job: Job, name: str, source: Path, form: Form, calibration: Sequence[npt.NDArray[np.float32]]
) -> dict[str, float]:
    """Sensitivity of the best found network's layers, where it is asked for."""
    from export.int8.calibration import ranges
    from export.int8.sensitivity import sensitivity

    images = job.spec.quantise.sensitivity_images
    if not images or name != "found-1":
        return {}
    few = calibration[: max(1, images // job.spec.target.batch)]
    found = ranges(source, calibration, "max")
    return sensitivity(source, found, form, few, threads=job.spec.cpu_threads or 0)


@dataclass(frozen=True, slots=True)
class Batches:
    """All images as evaluation sees them, `size` at a time, read anew each time they are asked for.

    A whole test set at 224x224 would fill the memory.
    """

    images: ImageSet
    size: int

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        from training.images import evaluation_batches

        for images, _ in evaluation_batches(self.images, self.size):
            yield images.contiguous().numpy()


def whole_batches(images: ImageSet, size: int, limit: int) -> list[npt.NDArray[np.float32]]:
    """The first images, at most `limit`, in batches of exactly `size`; at least one batch."""
    import torch

    count = max(1, min(limit, len(images)) // size)
    places = (torch.arange(number * size, (number + 1) * size) for number in range(count))
    return [images.batch(place % len(images))[0].contiguous().numpy() for place in places]


STAGE = Stage(
    name="quantise",
    summary="eight bits: calibrating, choosing, testing",
    after=always("select", "export"),
    settings=settings,
    run=run,
)
