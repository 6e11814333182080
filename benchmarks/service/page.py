"""The page of a table with 10,000 rows in Chromium: seconds until its curve is there and answers.

`python -m benchmarks.service.page` measures; `--pictures docs/pictures` also draws the pictures of
the documentation, of a job that it runs. The table's latencies are computed, their number is what
counts here.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.search.spaces import RESULTS, machine, write
from benchmarks.service.running import Running, running
from latency_tables.shipped import load
from latency_tables.table import LatencyTable
from service.client.client import Client
from supernet.shapes import BlockShape

ROWS = 10_000
GOAL_S = 1.5
SHIPPED = "resnet50-224-ort-fp32-1t-epyc"


def large() -> LatencyTable:
    """A shipped table with more rows: other widths, latencies as its neighbours have."""
    table = load(SHIPPED)
    rng, rows = np.random.default_rng(0), dict(table.rows)
    blocks = [(shape, row) for shape, row in rows.items() if isinstance(shape, BlockShape)]
    while len(rows) < ROWS:
        shape, row = blocks[int(rng.integers(len(blocks)))]
        w1 = max(1, shape.w1 + int(rng.integers(-60, 61)))
        w2 = max(1, shape.w2 + int(rng.integers(-60, 61)))
        rows.setdefault(replace(shape, w1=w1, w2=w2), row)
    return replace(table, rows=rows, fitted=None)


def interactive(page: Page, url: str) -> float:
    """Seconds from asking for the page until its curve is drawn and another can be chosen."""
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator("#curve .main-svg").first.wait_for()
    page.locator("select[name=curve]").select_option(index=1)
    return time.perf_counter() - start


def measure(browser: Browser, server: Running, client: Client, n: int) -> dict[str, Any]:
    """Loads of the large table's page, the first by a server that has not seen it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.json"
        large().save(file)
        upload = time.perf_counter()
        table = client.upload_table(file).id
        upload = time.perf_counter() - upload
    page = signed_in(browser, server)
    seconds = [interactive(page, f"{server.address}/tables/{table}") for _ in range(n)]
    later = sorted(seconds[1:])
    return {
        "rows": ROWS,
        "loads": seconds,
        "first_s": seconds[0],
        "median_s": later[len(later) // 2],
        "slowest_s": later[-1],
        "goal_s": GOAL_S,
        "upload_s": upload,
    }


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
    parser.add_argument("--loads", type=int, default=11)
    parser.add_argument("--out", type=Path, default=RESULTS / "service-page.json")
    parser.add_argument("--pictures", type=Path, help="Folder for the documentation's pictures.")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), None, work=given.pictures is not None) as server,
        Client(server.address, server.token) as client,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        found = measure(browser, server, client, given.loads)
        print({key: value for key, value in found.items() if key != "loads"})
        write(given.out, {"machine": machine(), "chromium": browser.version, **found})
        if given.pictures is not None:
            pictures(browser, server, client, given.pictures)
        browser.close()


if __name__ == "__main__":
    main()
