"""optuna-dashboard within the server: behind the sign-in, read-only, and drawn in a browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from playwright.sync_api import expect
from service_server import Server, instance_in, served
from starlette.testclient import TestClient
from web_browser import browser, needs_chromium

from search.problem import SearchError
from search.studies import storage
from service.http.app import create_app
from service.http.dashboard import DashboardError, dashboard
from service.http.settings import ServerSettings

ASKED = ("/dashboard", "/dashboard/studies/0", "/api/meta", "/api/studies", "/api/studies/0",
         "/csv/0", "/static/bundle.js")  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("dashboard")
    journal = str(folder / "study.log")
    study = optuna.create_study(storage=storage(journal), study_name="widths")
    study.optimize(lambda trial: trial.suggest_int("w", 8, 64) / 64, n_trials=5)
    instance, token = instance_in(folder / "home")
    settings = ServerSettings(poll_s=0.05, studies=journal)
    with served(instance, token, settings=settings) as found:
        yield found
    instance.database.close()


@pytest.fixture(scope="module")
def asking(server: Server) -> Iterator[TestClient]:
    app = create_app(server.instance, server.context.settings)
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
        yield client


def test_it_shows_studies_to_users_only_and_changes_none(
    asking: TestClient, server: Server
) -> None:
    known = {"Authorization": f"Bearer {server.token}"}
    for path in ASKED:
        assert asking.get(path).status_code == 401, path
        assert asking.get(path, headers=known).status_code == 200, path
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert asking.request(method, path, headers=known).status_code in (404, 405), path
    [study] = asking.get("/api/studies", headers=known).json()["study_summaries"]
    assert study["study_name"] == "widths"
    # Ours stay ours.
    assert "error" in asking.get("/api/v1/nosuch", headers=known).json()
    assert "unsafe-eval" not in asking.get("/", headers=known).headers["content-security-policy"]
    assert 'href="/dashboard"' in asking.get("/", headers=known).text


def test_without_it_nothing_is_there(tmp_path: Path) -> None:
    instance, token = instance_in(tmp_path / "home")
    known = {"Authorization": f"Bearer {token}"}
    with TestClient(create_app(instance), base_url="http://localhost") as client:
        assert client.get("/dashboard", headers=known).status_code == 404
        assert "/dashboard" not in client.get("/", headers=known).text
    instance.database.close()


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SearchError, match="cannot be opened"):
        dashboard("nosuchdb://x/y")
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(DashboardError, match=r"stairprune\[dashboard\]"):
        dashboard("sqlite:///x.db")


@pytest.mark.slow
@needs_chromium
def test_a_browser_that_signed_in_by_the_form_draws_a_study(server: Server) -> None:
    with browser() as started:
        page = started.new_page()
        page.goto(f"{server.address}/login")
        page.get_by_label("Token").fill(server.token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Studies").click()
        page.get_by_text("widths").first.click()
        expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible(timeout=20_000)
