"""Stage report: `report.json` and `report.html` at the top of the run folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from service.console import Report, say
from service.job import Job, Stage, measured_stages, tables
from service.spec import JobSpec
from service.store import write_json


def settings(spec: JobSpec) -> object:
    """What decides the result: only what the stages wrote, and the name."""
    return {"name": spec.name}


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes both files here and copies them to the top."""
    from service.report_html import render
    from service.report_json import build

    report = build(job)
    write_json(folder / "report.json", report)
    progress(1, 2, "report.json")
    (folder / "report.html").write_text(render(job, report), encoding="utf-8")
    progress(2, 2, "report.html")
    for name in ("report.json", "report.html"):
        temporary = job.folder.path / f"{name}.tmp"
        shutil.copyfile(folder / name, temporary)
        temporary.replace(job.folder.path / name)
    say(f"  {job.folder.path / 'report.html'}")
    return ["report.json", "report.html"]


STAGE = Stage(
    name="report",
    summary="writing the report",
    after=lambda spec: (
        "capacity",
        *tables(spec),
        "supernet",
        "search",
        "select",
        "teacher",
        "train",
        "export",
        "quantise",
        *measured_stages(spec),
        "bundle",
    ),
    settings=settings,
    run=run,
)
