"""Does a network keep the latency limit, and can that be said? The one place that decides.

A limit in milliseconds is held against the upper end of the measured interval, or, where the
measurement is flagged as disturbed, against its slowest round. A limit given as a percentage of
the dense network is held against the dense network of the *same* interleaved run: what disturbs
a pass disturbs both, so the ratio per pass is judged, and the interval too. Figures of a modelled
target may lie within a limit, and never keep it.
"""

from __future__ import annotations

from latency_tables.table import Measurement, Target
from profiler.stats import paired_ratio
from service.spec import Limits, resolve


def limit_ms(limits: Limits, dense: Measurement) -> float | None:
    """The latency limit in the run in which `dense` was measured; None without one."""
    if limits.latency_ms is None:
        return None
    return resolve(limits.latency_ms, dense.median, "limits.latency_ms")


def caveat(limits: Limits, target: Target) -> str:
    """Why no network can be said to keep the latency limit on `target`; empty where it can."""
    if limits.latency_ms is None or not target.modelled:
        return ""
    return f"the latency budget is not certified: latencies are {target.stamp}"


def elsewhere(limits: Limits) -> str:
    """Which limits are on targets where no network was run, and so only predicted; may be empty."""
    names = ", ".join(name for name in limits.further if name not in limits.run_on())
    return f"limits on {names} are held by prediction, and were not measured" if names else ""


def keeps(limits: Limits, target: Target, measured: Measurement, dense: Measurement) -> bool:
    """Whether `measured` keeps the latency limit; never on a modelled target with a limit.

    Args:
        target: what it was measured on.
        measured: a network.
        dense: the dense network, in the same passes.
    """
    return not caveat(limits, target) and within(limits, measured, dense)


def within(limits: Limits, measured: Measurement, dense: Measurement) -> bool:
    """Whether the figures of `measured` lie within the latency limit, wherever they come from.

    Args:
        measured: a network.
        dense: the dense network, in the same passes.
    """
    limit = limit_ms(limits, dense)
    if limit is None:
        return True
    if isinstance(limits.latency_ms, str):
        ratio = paired_ratio(measured.adjusted, dense.adjusted)
        return measured.hi <= limit and ratio.hi <= limit / dense.median
    return measured.ceiling <= limit
