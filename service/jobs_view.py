"""Jobs and candidates for a terminal."""

from __future__ import annotations

import time
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.table import Table

from service.client.replies import Candidate, Detail, Host, Job

_MADE = ("measured_ms", "measured_low", "measured_high", "test", "test_int8")
_STYLES = {"running": "cyan", "succeeded": "green", "failed": "red", "cancelled": "yellow"}


def listing(jobs: list[Job]) -> RenderableType:
    """One line a job."""
    table = Table(box=None, pad_edge=False)
    for column in ("job", "name", "user", "state", "stage", "priority", "submitted", ""):
        justify: Literal["left", "right"] = "right" if column == "priority" else "left"
        # An id that is cut short is of no use to any other verb.
        whole = column == "job"
        table.add_column(column, justify=justify, no_wrap=whole, min_width=16 if whole else None)
    for job in jobs:
        table.add_row(
            job.id,
            job.name,
            job.user,
            _state(job.state, job.wanted),
            f"{job.stage} {100 * job.done // job.total} %" if job.total else job.stage,
            str(job.priority),
            _when(job.created_at),
            job.waits or job.error or "",
        )
    return table if jobs else "no jobs"


def machines(hosts: list[Host]) -> RenderableType:
    """One line a host."""
    table = Table(box=None, pad_edge=False)
    for column in ("host", "class", "CPU slots", "GPUs", "jobs"):
        table.add_column(column, justify="right" if column in ("CPU slots", "GPUs") else "left")
    for host in hosts:
        table.add_row(
            host.name,
            " ".join(host.classes),
            f"{host.cpu_held} of {host.cpu_slots}",
            f"{host.gpus_held} of {host.gpus}",
            " ".join(host.jobs),
        )
    return table if hosts else "no host takes work now"


def detail(found: Detail) -> RenderableType:
    """A job's stages with what came of them, then its attempts."""
    job = found.job
    lines = [f"{job.id}  {job.name}  of {job.user}, priority {job.priority}"]
    lines.append(f"{_state(job.state, job.wanted)}{': ' + job.waits if job.waits else ''}")
    if job.error:
        lines.append(f"[red]{job.error}[/red]")
    stages = Table(box=None, pad_edge=False)
    for column in ("stage", "state", "took", "files", ""):
        stages.add_column(column, justify="right" if column in ("took", "files") else "left")
    for stage in found.stages:
        runs = [a for a in found.attempts if a["stage"] == stage["name"]]
        reused = stage["reused_from"]
        last = runs[-1] if runs else None
        note = f"as in job {reused}" if reused else stage["error"] or (last or {}).get("note", "")
        stages.add_row(
            stage["name"],
            _state(stage["state"], ""),
            _took(last),
            str(len(stage["files"] or {})) if stage["files"] is not None else "",
            note,
        )
    return Group(*lines, "", stages)


def figures(found: list[Candidate]) -> RenderableType:
    """Candidates with their figures; the estimate is the supernet's."""
    costs = dict.fromkeys(name for c in found for name in c.figures if name not in _MADE)
    columns = ["estimate", *(name for name in costs if name != "estimate")]
    table = Table(box=None, pad_edge=False)
    for column in ("candidate", "chosen as", *columns, "measured ms", "test", "front"):
        left = column in ("candidate", "chosen as")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    for candidate in found:
        made = candidate.figures
        table.add_row(
            candidate.id,
            candidate.finalist or "",
            *(_number(made.get(name)) for name in columns),
            _number(made.get("measured_ms")),
            _number(made.get("test")),
            "yes" if candidate.front else "",
        )
    return table if found else "no candidates"


def beside(found: list[dict[str, Any]]) -> RenderableType:
    """Jobs in columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for side in found:
        table.add_column(f"{side['name']} ({side['id']})", justify="right")
    table.add_row("state", *(side["state"] for side in found))
    table.add_row("searcher", *(side["searcher"] for side in found))
    limits = dict.fromkeys(name for side in found for name in side["budget"] or {})
    for name in limits:
        table.add_row(
            f"limit {name}", *(_number((side["budget"] or {}).get(name)) for side in found)
        )
    figures = dict.fromkeys(name for s in found for name in (s["best"] or {}).get("figures", {}))
    for name in figures:
        row = ((side["best"] or {}).get("figures", {}).get(name) for side in found)
        table.add_row(f"best: {name}", *map(_number, row))
    table.add_row("seconds", *(_number(sum(side["seconds"].values())) for side in found))
    return table


def _state(state: str, wanted: str) -> str:
    style = _STYLES.get(state)
    text = (
        state
        if wanted in ("", "run") or state not in ("running", "queued")
        else (f"{state} (to {wanted})")
    )
    return f"[{style}]{text}[/{style}]" if style else text


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _took(attempt: dict[str, Any] | None) -> str:
    if attempt is None or attempt["started_at"] is None:
        return ""
    end = attempt["finished_at"]
    return f"{(end or time.time()) - attempt['started_at']:.1f} s"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.5g}"
