"""The page of a table with 10,000 rows in Chromium: seconds until its curve is there and answers.

`python -m benchmarks.service.page` measures, in browsers without a debugger (see `chromium.py`);
`--pictures docs/pictures` also draws the pictures of the documentation, of a job that it runs. The
table's latencies are computed, their number is what counts here.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.search.spaces import RESULTS, machine, write
from benchmarks.service.chromium import Tab, tab
from benchmarks.service.running import Running, running
from latency_tables.shipped import load
from latency_tables.table import LatencyTable
from service.client.client import Client
from supernet.shapes import BlockShape

ROWS = 10_000
GOAL_S = 1.5
SHIPPED = "resnet50-224-ort-fp32-1t-epyc"


def large(seed: int = 0) -> LatencyTable:
    """A shipped table with more rows: other widths, latencies as its neighbours have."""
    table = load(SHIPPED)
    rng, rows = np.random.default_rng(seed), dict(table.rows)
    blocks = [(shape, row) for shape, row in rows.items() if isinstance(shape, BlockShape)]
    while len(rows) < ROWS:
        shape, row = blocks[int(rng.integers(len(blocks)))]
        w1 = max(1, shape.w1 + int(rng.integers(-60, 61)))
        w2 = max(1, shape.w2 + int(rng.integers(-60, 61)))
        rows.setdefault(replace(shape, w1=w1, w2=w2), row)
    return replace(table, rows=rows, fitted=None)


_DRAWN = """new Promise((done) => {
  const look = () => {
    const choice = document.querySelector("select[name=curve]");
    const curve = document.querySelector("#curve");
    if (curve?.querySelector(".main-svg") && choice.options.length > 1) done(curve.ariaLabel);
    else requestAnimationFrame(look);
  };
  look();
})"""
_OTHER = """new Promise((done) => {
  const choice = document.querySelector("select[name=curve]");
  const before = document.querySelector("#curve").ariaLabel;
  choice.value = choice.value === "0" ? "1" : "0";
  choice.dispatchEvent(new Event("input", { bubbles: true }));
  const look = () => {
    const now = document.querySelector("#curve").ariaLabel;
    if (now !== before) done(now);
    else requestAnimationFrame(look);
  };
  look();
})"""


def interactive(page: Tab, url: str) -> tuple[float, float]:
    """Seconds from asking for the page until its curve is drawn, and until another one is."""
    start = time.perf_counter()
    page.goto(url)
    page.value(_DRAWN)
    drawn = time.perf_counter() - start
    page.value(_OTHER)
    return drawn, time.perf_counter() - start


def measure(server: Running, client: Client, given: argparse.Namespace) -> dict[str, Any]:
    """Visits to the large table's page, each first one in a new browser and of a new upload."""
    first, later, uploads = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.browsers):
            file = Path(folder) / "large.json"
            large(number).save(file)
            start = time.perf_counter()
            table = client.upload_table(file).id
            uploads.append(time.perf_counter() - start)
            with tab(given.chromium) as page:
                sign_in(page, server)
                visits = [interactive(page, f"{server.address}/tables/{table}") for _ in range(3)]
                version = page.value("navigator.userAgent")
            first.append(visits[0])
            later += visits[1:]
    return {
        "browser": version,
        "rows": ROWS,
        "goal_s": GOAL_S,
        "first": _figures(first),
        "later": _figures(later),
        "upload_s": _sorted_median(uploads),
    }


def _figures(visits: list[tuple[float, float]]) -> dict[str, Any]:
    names = ("drawn_s", "answered_s")
    found = dict(zip(names, zip(*visits, strict=True), strict=True))
    return {
        name: {"median": _sorted_median(v), "slowest": max(v), "all": list(v)}
        for name, v in found.items()
    }


def _sorted_median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def sign_in(page: Tab, server: Running) -> None:
    """Gives the tab's browser the cookie of the server's user, and its list of jobs to show."""
    page.goto(f"{server.address}/login")
    form = f"new URLSearchParams({{ token: {json.dumps(server.token)} }})"
    page.value(f"fetch('/login', {{ method: 'POST', body: {form} }}).then((found) => found.ok)")
    page.goto(f"{server.address}/")
    time.sleep(1.0)  # Who looks at a table has seen the list.


def signed_in(browser: Browser, server: Running) -> Page:
    """A page of the server's user."""
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    page.goto(f"{server.address}/login")
    page.get_by_label("Token").fill(server.token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{server.address}/")
    return page


def pictures(browser: Browser, server: Running, client: Client, folder: Path) -> None:
    """Draws the documentation's pictures, of quick start and a shipped table."""
    from PIL import Image

    job = client.submit(preset="quickstart")
    for _ in client.events(job.id):
        pass
    page = signed_in(browser, server)
    for name, path, ready in (
        ("page-table", f"/tables/{SHIPPED}", "#curve .main-svg"),
        ("page-search", f"/jobs/{job.id}/search", "#widths .main-svg"),
        ("page-job", f"/jobs/{job.id}", "#files tr"),
    ):
        page.goto(server.address + path)
        page.locator(ready).first.wait_for()
        page.wait_for_timeout(800)
        file = folder / f"{name}.png"
        page.screenshot(path=file, full_page=True)
        Image.open(file).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(
            file, optimize=True
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browsers", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULTS / "service-page.json")
    parser.add_argument("--pictures", type=Path, help="Folder for the documentation's pictures.")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), None, work=given.pictures is not None) as server,
        Client(server.address, server.token) as client,
    ):
        found = measure(server, client, given)
        print(json.dumps(found, indent=1))
        write(given.out, {"machine": machine(), **found})
        if given.pictures is not None:
            with sync_playwright() as play:
                browser = play.chromium.launch(
                    executable_path=given.chromium, args=["--no-sandbox"]
                )
                pictures(browser, server, client, given.pictures)
                browser.close()


if __name__ == "__main__":
    main()
