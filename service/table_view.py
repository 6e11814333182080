"""A latency table in words and rows: what it covers, its stairs, how far to trust it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.table import Table

from latency_tables.fitted import Fitted
from latency_tables.grain import Grain
from latency_tables.predict import Predictor
from latency_tables.stairs import stairs_of
from latency_tables.sweeps import sweeps
from latency_tables.table import LatencyTable
from service.plain import plain

MODEL_ONLY = "; of the fit to the model, not of the model to a device"
SURE = 0.9  # edges of less confidence are shown with it


def describe(table: LatencyTable) -> dict[str, Any]:
    """The table as JSON-able facts."""
    groups = table.by_geometry()
    staircases = [
        {
            "geometry": sweep.geometry,
            "axis": sweep.axis,
            "widths": [sweep.widths[0], sweep.widths[-1]],
            "points": len(sweep.widths),
            "right_edges": list(found.right_edges),
            "edges": [asdict(plateau) for plateau in found.edges],
        }
        for sweep, found in ((sweep, stairs_of(sweep)) for sweep in sweeps(table))
    ]
    fitted = Predictor(table).fitted
    return {
        "target": asdict(table.target),
        "summary": str(table.target),
        "origin": table.target.origin,
        "fingerprint": table.fingerprint,
        "network": asdict(table.network),
        "geometries": {name: len(rows) for name, rows in groups.items()},
        "points": len(table.rows),
        "chains": len(table.chains),
        "flagged": sum(bool(m.flags) for m in table.rows.values()),
        "networks": len(table.networks),
        "roof": asdict(table.roof) if table.roof else None,
        "grain": asdict(fitted.grain),
        "held_out": plain(asdict(fitted.held_out)) if table.networks else None,
        "bound": asdict(fitted.bound),
        "blocks": {name: _errors(fitted, name) for name in groups},
        "stairs": staircases,
    }


def render(description: dict[str, Any]) -> Group:
    """The facts for a terminal."""
    rows = Table(box=None, pad_edge=False)
    for column in ("geometry", "axis", "widths", "right edges"):
        rows.add_column(column)
    for stair in description["stairs"]:
        low, high = stair["widths"]
        rows.add_row(
            stair["geometry"],
            stair["axis"],
            f"{low}..{high} ({stair['points']})",
            " ".join(map(_edge, stair["edges"])) or "none found",
        )
    details = description["target"]["details"]
    source = details.get("source") if description["origin"] == "modelled" else None
    lines = [
        description["summary"],
        f"figures: {source}" if source else details.get("memory", "memory not recorded"),
        f"fingerprint {description['fingerprint']}",
        f"{description['points']} shapes of {len(description['geometries'])} geometries, "
        f"{description['flagged']} flagged; {description['chains']} chains; "
        f"{description['networks']} whole networks",
        grain_in_words(Grain(**description["grain"]), description["origin"]),
    ]
    if roof := description["roof"]:
        lines.append(f"peak {roof['gmacs']:g} GMAC/s, bandwidth {roof['gbytes']:g} GB/s")
    if held := description["held_out"]:
        lines.append(held_out_in_words(held, description["origin"]))
    bound = description["bound"]
    lines.append(
        f"upper bound: prediction x {bound['factor']:.3f}, holds for {bound['coverage']:.0%} of "
        f"networks like those ({bound['points']} {bound['source']})"
    )
    return Group(*lines, "", rows)


def held_out_in_words(held: dict[str, Any], origin: str) -> str:
    """The error that goes with every prediction, in one line."""
    if not held["points"]:
        return "no network was held out: the prediction error is unknown"
    rival = held["flops_linear_mape_percent"]
    beside = f" (a fit to MACs alone: {rival:.1f} %)" if rival is not None else ""
    return (
        f"{held['points']} networks never fitted: {held['mape_percent']:.1f} % mean error, "
        f"{held['within_5_percent']:.0f} % within 5 %, {held['within_10_percent']:.0f} % "
        f"within 10 %, worst {held['worst_percent']:.1f} %{beside}"
        + MODEL_ONLY
        * (origin == "modelled")
    )


def grain_in_words(grain: Grain, origin: str) -> str:
    """What the rows say of how the runtime rounds."""
    parts = []
    if grain.group > 1:
        parts.append(f"channels are computed in groups of {grain.group}")
    if grain.batch > grain.group:
        parts.append(f"outputs in batches of {grain.batch}")
    if grain.align > 1:
        parts.append(f"input widths that {grain.align} does not divide take another way")
    if grain.cache:
        parts.append(f"maps of more than {grain.cache} elements in and out of a layer cost more")
    return f"{origin}: " + ("; ".join(parts) or "no rounding of widths")


def _edge(plateau: dict[str, Any]) -> str:
    """An edge with its confidence; `~` where the widths behind it were not measured."""
    return f"{plateau['right']}{'~' * (plateau['until'] > plateau['right'])}" + (
        "" if plateau["confidence"] >= SURE else f"({plateau['confidence']:.0%})"
    )


def _errors(fitted: Fitted, name: str) -> dict[str, Any]:
    model = fitted.models[name]
    errors: dict[str, Any] = plain(
        {
            "points": model.points,
            "mape_percent": model.mape_percent,
            "flops_linear_mape_percent": model.flops_linear_mape_percent,
        }
    )
    return errors
