"""The report as one HTML file that needs nothing else: figures, tables, and what they mean."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from latency_tables.drawing_html import networks_figure, stairs_figure
from latency_tables.plots import cases, roof_points
from latency_tables.predict import Predictor
from latency_tables.table import LatencyTable, MissingShapeError
from service import report_figures as figures
from service.job import Job


def render(job: Job, report: dict[str, Any]) -> str:
    """The page.

    Args:
        report: as `service.report_json.build` made it.
    """
    table = job.table()
    predictor, origin = Predictor(table), table.target.origin
    predicted = networks_figure(
        predictor.networks(), predictor.held_out, predictor.bound.factor, table.target
    )
    sections = [
        ("Accuracy against latency", figures.pareto(job, report), _PARETO),
        ("Widths per layer", figures.widths(report), _WIDTHS),
        (f"Predicted against {origin}", predicted, _PREDICTED.format(origin=origin)),
        ("Training", figures.training(job), _TRAINING),
        ("Supernet", figures.supernet(job), _SUPERNET),
        *_stairs(table),
    ]
    environment = Environment(
        loader=PackageLoader("service"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html.j2").render(
        report=report,
        entries=[report["dense"], report["uniform"], *report["found"]],
        sections=[(title, _html(figure), text) for title, figure, text in sections],
        verdict=report["capacity"]["verdict"],
        target=str(table.target),
        plotly=get_plotlyjs(),
    )


def _stairs(table: LatencyTable) -> list[tuple[str, go.Figure, str]]:
    """The stairs' section; none where the table has no sweep long enough."""
    try:
        figure = stairs_figure(cases(table), table.target.stamp, roof_points(table))
        return [("Stairs", figure, _STAIRS)]
    except MissingShapeError:
        return []


def _html(figure: go.Figure) -> str:
    figure.update_layout(
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        colorway=figures.COLORS,
    )
    html: str = figure.to_html(full_html=False, include_plotlyjs=False)
    return html


_PARETO = (
    "Every config the search estimated. The estimate comes from the shared weights of the "
    "supernet; it ranks configs and is not the accuracy they reach when trained."
)
_WIDTHS = "Output channels of every convolution, dense against found and uniform."
_PREDICTED = (
    "Whole networks {origin} on the target that the prediction never saw, against the sum of "
    "their blocks after calibration. The dashed line is the upper bound"
    " that the search holds against the latency limit."
)
_TRAINING = "Accuracy on the search-validation split, per epoch, of the first seed."
_SUPERNET = "Loss of the weight-sharing network while it was trained."
_STAIRS = (
    "Latency of single blocks against their channels, with intervals. Marked are the right "
    "edges: the largest width of a plateau, where more channels cost nothing yet."
)
