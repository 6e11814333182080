"""The page in a real Chromium: every view, by mouse and keyboard, and the whole way to a bundle.

`make test` installs Debian's Chromium where it can. Without one, these tests are skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from service_server import Server, instance_in, mini, modelled, served, workers_find_us
from web_browser import Watched, browser, needs_chromium, signed_in

from bundle.reading import opened
from bundle.verify import verify
from service.presets import preset
from service.web.pages import assets

pytestmark = [pytest.mark.slow, needs_chromium]
SHIPPED = "resnet50-224-ort-fp32-1t-epyc"
OTHER = "resnet50-224-ort-fp32-1t-xeon"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        workers_find_us(patch)
        instance, token = instance_in(tmp_path_factory.mktemp("web") / "home")
        with served(instance, token, work=True) as found:
            yield found
        instance.database.close()


@pytest.fixture(scope="module")
def job(server: Server) -> str:
    """A job that has searched on a computed table."""
    with server.client() as client:
        made = client.submit(spec=modelled(), until="select").id
        *_, last = client.events(made)
        assert last.kind == "succeeded"
    return made


@pytest.fixture
def watched(chromium: Browser, server: Server) -> Iterator[Watched]:
    with signed_in(chromium, server) as found:
        yield found
        found.expect_clean()


def drawn(page: Page, chart: str) -> None:
    """Until a chart shows its lines."""
    expect(page.locator(f"#{chart} .main-svg").first).to_be_visible(timeout=15_000)


def test_every_asset_is_served_and_nothing_else(watched: Watched) -> None:
    page = watched.open("/")
    urls = page.locator("script[src], link[href]").evaluate_all(
        "all => all.map(one => one.getAttribute('src') ?? one.getAttribute('href'))"
    )
    mark = urls[0].split("/")[2]
    assert {"plotly.min.js", "style.css", "job.js"} <= set(assets())
    for name in assets():
        assert page.request.get(f"{watched.server.address}/static/{mark}/{name}").ok
    for name in ("../pages.py", "..%2fpages.py", "nosuch.js"):
        assert not page.request.get(f"{watched.server.address}/static/{mark}/{name}").ok


def test_every_view_shows_its_subject_and_is_usable_by_all(watched: Watched, job: str) -> None:
    with watched.server.client() as client:
        other = client.submit(spec=modelled(seed=4), until="profile").id
        list(client.events(other))
    views: list[tuple[str, str, list[str]]] = [
        ("/", "Jobs", []),
        (f"/jobs/{job}", "mini", []),
        (f"/jobs/{job}/search", "Search mini", ["front", "parallel", "widths"]),
        (f"/jobs/{job}/candidates/found-1", "Candidate found-1", ["widths"]),
        ("/tables", "Latency tables", []),
        (f"/tables/{SHIPPED}?with={OTHER}", SHIPPED, ["curve"]),
        ("/new", "New job", []),
        (f"/compare?job={job}&job={other}", "Compare jobs", []),
    ]
    for path, heading, charts in views:
        page = watched.open(path)
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        for chart in charts:
            drawn(page, chart)
        expect(page.locator("#problem")).to_be_hidden()
        assert watched.serious() == [], path


def test_the_keyboard_reaches_what_the_mouse_does(watched: Watched) -> None:
    page = watched.open("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="New job").last).to_be_focused()
    theme = page.locator("html")
    was = theme.get_attribute("data-theme")
    page.get_by_role("button", name=re.compile("theme")).focus()
    page.keyboard.press("Enter")
    expect(theme).not_to_have_attribute("data-theme", str(was))
    page.reload()
    expect(theme).not_to_have_attribute("data-theme", str(was))


def test_the_table_inspector_keeps_its_state_in_the_address(watched: Watched) -> None:
    page = watched.open(f"/tables/{SHIPPED}")
    drawn(page, "curve")
    expect(page.locator("#edges")).to_contain_text(re.compile(r"Right edges: \d+"))
    expect(page.locator("#trust")).to_contain_text("networks never fitted")
    page.get_by_label("Overlay").select_option(OTHER)
    expect(page.locator("#edges")).to_contain_text("of the other table")
    page.locator("select[name=curve]").select_option(index=1)
    expect(page).to_have_url(re.compile("with=.*"))
    chosen = page.locator("select[name=curve]").input_value()
    page.reload()
    drawn(page, "curve")
    expect(page.locator("select[name=curve]")).to_have_value(chosen)
    expect(page.get_by_label("Overlay")).to_have_value(OTHER)
    for part in ("Heat map", "Roofline", "Networks never fitted", "Difference", "Raw rows"):
        page.locator("summary", has_text=part).click()
    for chart in ("heat", "roof", "held"):
        drawn(page, chart)
    expect(page.locator("#diff")).to_contain_text("common rows")
    expect(page.locator("#range")).to_have_text(re.compile(r"1 to 200 of \d+"))
    page.get_by_role("button", name="After").click()
    expect(page.locator("#range")).to_have_text(re.compile(r"201 to 400 of \d+"))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert json.loads(Path(download.value.path()).read_text())["schema"] == 2


def test_best_under_a_limit_and_the_slider(watched: Watched, job: str) -> None:
    page = watched.open(f"/jobs/{job}/search")
    drawn(page, "front")
    page.locator("select[name=metric]").select_option("macs")
    page.get_by_label("Best at most").fill("100000")
    expect(page.locator("#best")).to_contain_text("Best with at most 100,000 MACs")
    expect(page).to_have_url(re.compile("metric=macs.*under=100000"))
    page.get_by_label("Best at most").fill("1")
    expect(page.locator("#best")).to_contain_text("No candidate has at most 1 MACs")
    page.locator("input[name=top]").fill("5")
    expect(page.locator("#shown")).to_have_text("5")
    page.reload()
    expect(page.locator("#shown")).to_have_text("5")


def test_a_wrong_field_is_named_beside_it_and_nothing_is_submitted(watched: Watched) -> None:
    page = watched.open("/new")
    expect(page.get_by_label("Preset", exact=True)).to_have_value("quickstart")
    page.get_by_label("MACs at most").fill("lots")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_label("MACs at most")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("MACs at most")).to_be_focused()
    expect(page.locator("[id='e-limits.macs']")).to_contain_text("lots")
    page.get_by_label("MACs at most").fill("60%")
    page.get_by_label("Further changes").fill("{")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#changes-error")).to_contain_text("changes:")
    page.get_by_label("Further changes").fill("")
    page.get_by_label("Until").evaluate("one => one.append(new Option('nosuch'))")
    page.get_by_label("Until").select_option("nosuch")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#e-until")).to_contain_text("until must be one of")
    expect(page.get_by_label("Until")).to_be_focused()
    page.get_by_label("Until").select_option("select")
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#told")).to_have_text(re.compile("select$"))
    expect(page).to_have_url(re.compile("/new"))


def test_an_upload_is_taken_in_and_a_wrong_one_is_said(watched: Watched, tmp_path: Path) -> None:
    page = watched.open("/tables")
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    page.get_by_label("Table file").set_input_files(wrong)
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("#problem")).to_be_visible()
    data = page.request.get(f"{watched.server.address}/api/v1/tables/{SHIPPED}/download").body()
    (tmp_path / "right.json").write_bytes(data)
    page.get_by_label("Table file").set_input_files(tmp_path / "right.json")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("right")
    drawn(page, "curve")


def test_a_job_is_steered_from_its_page(watched: Watched) -> None:
    with watched.server.client() as client:
        blocker = client.submit(spec=mini(seed=77), priority=50).id
        made = client.submit(spec=mini(seed=78), priority=-50).id
    page = watched.open(f"/jobs/{made}")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state")).to_have_text(re.compile("queued|running"))
    page.get_by_label(re.compile("Priority")).fill("-60")
    page.get_by_role("button", name="Set priority").click()
    expect(page.locator("#about")).to_contain_text("priority -60")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#state")).to_have_text("cancelled", timeout=20_000)
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    with watched.server.client() as client:
        client.cancel(blocker)
        list(client.events(blocker))


def differences(base: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """What to change in `base` for it to be `wanted`."""
    changes: dict[str, Any] = {}
    for key, value in wanted.items():
        old = base.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            if inner := differences(old, value):
                changes[key] = inner
        elif value != old:
            changes[key] = value
    return changes


def test_from_the_preset_to_training_and_download(watched: Watched, tmp_path: Path) -> None:
    """The whole way, with quick start made small: a computed table, and MACs as the objective."""
    small = {key: value for key, value in modelled().items() if key not in ("name", "seed")}
    page = watched.open("/new")
    expect(page.get_by_label("Preset", exact=True)).to_have_value("quickstart")
    page.get_by_label("Further changes").fill(
        json.dumps(differences(preset("quickstart").spec, small))
    )
    page.get_by_label("Name").fill("walk")
    expect(page.get_by_label("Until")).to_have_value("report")
    page.get_by_label("Until").select_option("select")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("walk")
    expect(page.locator("#live")).to_contain_text(re.compile("capacity|profile"), timeout=30_000)
    page.reload()
    latest = re.compile("capacity|profile|search|select")
    expect(page.locator("#log")).to_contain_text(latest, timeout=30_000)
    expect(page.locator("#state")).to_have_text("succeeded", timeout=240_000)
    page.get_by_role("link", name="Its latency table").click()
    drawn(page, "curve")
    page.go_back()
    page.get_by_role("link", name="What the search found").click()
    drawn(page, "front")
    page.locator("#candidates a").first.click()
    expect(page.locator("#figures")).to_contain_text("Predicted latency")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export ONNX, untrained").click()
    assert Path(download.value.path()).stat().st_size > 1000
    page.get_by_role("button", name="Train this").click()
    page.locator("#trained a").click()
    expect(page.locator("#stages")).to_contain_text("taken over from", timeout=30_000)
    expect(page.locator("#state")).to_have_text("succeeded", timeout=240_000)
    with page.expect_download() as download:
        page.get_by_role("link", name="found-1.onnx").click()
    assert Path(download.value.path()).stat().st_size > 1000
    with page.expect_download() as download:
        page.get_by_role("link", name="Bundle", exact=True).click()
    with opened(Path(download.value.path())) as bundle:
        assert {check.verdict for check in verify(bundle)} == {"pass"}
    with watched.server.client() as client:
        trained = page.url.rstrip("/").rsplit("/", 1)[-1]
        (file,) = [f for f in client.files(trained) if f.name.endswith(".bundle.zip")]
        client.download(file.artifact, tmp_path / file.name)
    assert (tmp_path / file.name).read_bytes() == Path(download.value.path()).read_bytes()
    with page.expect_download() as download:
        page.get_by_role("link", name="Report", exact=True).click()
    assert "<html" in Path(download.value.path()).read_text()[:500]
