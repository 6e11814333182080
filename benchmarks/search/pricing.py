"""Configs priced per second for MACs, params and a table's latency: ours and one at a time.

`python -m benchmarks.search.pricing [TABLE]`. All ways price the same population and must agree.
"ofa-style" is a re-implementation of how Once-for-All's estimators work (Cai et al. 2020): per
config a Python loop over its blocks, each looked up by its widths in a dictionary; every entry is
in the dictionary before the clock starts. Run on one core; the ways take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.search.spaces import RESULTS, machine, narrowed, problem, write
from latency_tables.predict import Predictor
from latency_tables.shipped import load
from search.lattice import Index
from search.prices import Prices
from search.problem import Floats

ROUNDS = 9
POPULATION = 100_000
ONE_BY_ONE = 2_000
Entries = dict[tuple[int, ...], tuple[float, float, float, int]]


class OfaStyle:
    """Prices one config after another by dictionary look-ups, block by block."""

    def __init__(self, prices: Prices, index: Index) -> None:
        self.prices = prices
        self.entries: list[Entries] = [{} for _ in prices.scopes]
        macs, params, ms = (prices.terms[name] for name in ("macs", "params", "latency_ms"))
        for number, scope in enumerate(prices.scopes):
            for widths in np.unique(index[:, scope.genes], axis=0):
                cell = int(np.ravel_multi_index(tuple(widths), scope.sizes))
                for bit in (0, 1):
                    wide = min(bit, ms.cost[number].shape[1] - 1)
                    out = int(ms.out[number][cell, wide]) if ms.out is not None else 0
                    self.entries[number][(*widths.tolist(), bit)] = (
                        float(macs.cost[number][cell, 0]),
                        float(params.cost[number][cell, 0]),
                        float(ms.cost[number][cell, wide]),
                        out,
                    )

    def price(self, configs: list[list[int]]) -> Floats:
        """[metrics, n] of index rows given as lists."""
        found = []
        genes = [scope.genes for scope in self.prices.scopes]
        for config in configs:
            macs = params = ms = 0.0
            bit = 0
            for entries, columns in zip(self.entries, genes, strict=True):
                key = (*[config[column] for column in columns], bit)
                more_macs, more_params, more_ms, bit = entries[key]
                macs += more_macs
                params += more_params
                ms += more_ms
            found.append((macs, params, ms))
        totals = np.array(found).T
        totals[2] = self.prices.terms["latency_ms"].total(totals[2])
        return totals


def timed(run: Callable[[], Any]) -> float:
    """Seconds of wall time."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(table: str, tied: bool, rounds: int) -> dict[str, Any]:
    """Rates of every way on one space."""
    predictor = Predictor(load(table))
    task = problem(predictor, narrowed(predictor, tied=tied))
    compile_s = timed(lambda: Prices(task))
    prices = Prices(task)
    index = prices.lattice.draw(np.random.default_rng(0), POPULATION, 0.7)
    few = index[:ONE_BY_ONE]
    rows, style, listed = prices.lattice.rows(index), OfaStyle(prices, few), few.tolist()
    truth = np.array(list(task.costs(rows).values()))
    assert np.allclose(np.array(list(prices.costs(index).values())), truth, rtol=1e-12)
    assert np.allclose(style.price(listed), truth[:, :ONE_BY_ONE], rtol=1e-12)
    ways: dict[str, tuple[int, Callable[[], Any]]] = {
        "compiled": (POPULATION, lambda: prices.costs(index)),
        "numpy": (POPULATION, lambda: task.costs(rows)),
        "ofa-style": (ONE_BY_ONE, lambda: style.price(listed)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (_, run) in ways.items():
            seconds[name].append(timed(run))
    rates = {
        name: {
            "median": count / float(np.median(seconds[name])),
            "slowest": count / max(seconds[name]),
            "fastest": count / min(seconds[name]),
        }
        for name, (count, _) in ways.items()
    }
    return {
        "table": table,
        "tied": tied,
        "log10_size": task.space.log10_size,
        "widths_per_gene": [len(widths) for widths in task.space.choices],
        "compile_s": compile_s,
        "configs_per_s": rates,
        "ratio_to_ofa_style": rates["compiled"]["median"] / rates["ofa-style"]["median"],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", default="resnet50-224-ort-fp32-1t-epyc")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=RESULTS / "search-pricing.json")
    given = parser.parse_args()
    cases = [measure(given.table, tied, given.rounds) for tied in (True, False)]
    shown = Table(title=f"configs priced per second, MACs + params + {given.table}, one core")
    for column in ("inner widths", "space", "compiled", "numpy", "ofa-style", "ratio"):
        shown.add_column(column, justify="right")
    for case in cases:
        rates = [f"{case['configs_per_s'][way]['median']:,.0f}" for way in case["configs_per_s"]]
        size = f"10^{case['log10_size']:.1f}"
        kind = "tied" if case["tied"] else "untied"
        shown.add_row(kind, size, *rates, f"{case['ratio_to_ofa_style']:,.0f}")
    Console(width=110).print(shown)
    result = {"machine": machine(), "population": POPULATION, "rounds": given.rounds}
    write(given.out, {**result, "cases": cases})


if __name__ == "__main__":
    main()
