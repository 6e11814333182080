"""Stage bundle: every found network as one archive that can be verified elsewhere."""

from __future__ import annotations

from pathlib import Path

from service.console import Report, say
from service.job import Job, Stage, always
from service.spec import JobSpec


def settings(spec: JobSpec) -> object:
    """What decides the result beside the files it reads."""
    return {"name": spec.name, "schema": 1}


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes `<name>.bundle.zip` for every found finalist."""
    from service.bundling import bundle_finalist

    data = job.data()
    names = [name for name in job.finalists() if name.startswith("found")]
    for number, name in enumerate(names, 1):
        path = folder / f"{name}.bundle.zip"
        bundle_finalist(job, name, data, folder / name, path)
        say(f"  {path}")
        progress(number, len(names), name)
    return [f"{name}.bundle.zip" for name in names]


STAGE = Stage(
    name="bundle",
    summary="packing what was found, with what is claimed of it",
    after=always(
        "profile", "search", "select", "teacher", "train", "export", "quantise", "measure"
    ),
    settings=settings,
    run=run,
)
