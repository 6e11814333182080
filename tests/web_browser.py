"""A real Chromium for tests of the page; what it must never do is noted as it happens."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from service_server import Server

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str | None:
    """The browser of this machine; STAIRPRUNE_CHROMIUM names another."""
    given = os.environ.get("STAIRPRUNE_CHROMIUM")
    return given or next((found for name in NAMES if (found := shutil.which(name))), None)


needs_chromium = pytest.mark.skipif(
    executable() is None,
    reason="no Chromium here: apt-get install chromium, or name one in STAIRPRUNE_CHROMIUM",
)


@dataclass
class Watched:
    """A signed-in page, and everything about it that is wrong."""

    page: Page
    server: Server
    wrong: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Goes to a path of the server."""
        self.page.goto(self.server.address + path)
        return self.page

    def expect_clean(self) -> None:
        """No error in the console, no request to another host."""
        assert not self.wrong, self.wrong

    def serious(self) -> list[str]:
        """What axe-core finds serious or critical, in light and in dark."""
        from axe_playwright_python.sync_playwright import Axe

        found: list[str] = []
        for theme in ("light", "dark"):
            self.page.evaluate(
                "theme => { localStorage.setItem('theme', theme);"
                " document.documentElement.dataset.theme = theme; }",
                theme,
            )
            results: dict[str, Any] = Axe().run(self.page).response
            for violation in results["violations"]:
                if violation["impact"] in ("serious", "critical"):
                    nodes = [node["html"][:120] for node in violation["nodes"][:3]]
                    found.append(f"{theme}: {violation['id']} {violation['help']}: {nodes}")
        return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A started Chromium."""
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def signed_in(started: Browser, server: Server, downloads: Path | None = None) -> Iterator[Watched]:
    """A page in a session of its own, by the one-time link."""
    context = started.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=False)
    page = context.new_page()
    watched = Watched(page=page, server=server)
    page.on("pageerror", lambda error: watched.wrong.append(f"error: {error}"))
    page.on(
        "console",
        lambda message: (
            watched.wrong.append(f"{message.type}: {message.text} {message.location}")
            # The browser itself notes every refusal; the page shows it, and tests look there.
            if message.type == "error" and "status of 4" not in message.text
            else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((server.address, "data:", "blob:"))
            else watched.wrong.append(f"request to {request.url}")
        ),
    )
    page.goto(f"{server.address}/login?code={server.context.codes.create('ann')}")
    try:
        yield watched
    finally:
        context.close()
