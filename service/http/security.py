"""`Guard`: what every request has to pass before any route sees it, whatever its path and method.

In this order: a Host that is ours, a body that is not too long, a user. Everything is refused that
is not allowed here, paths without a route too. Writes with a cookie must come from our own page.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.database import Database
from jobs.errors import StoreError
from service.http import sessions
from service.http.errors import answer
from service.http.settings import ServerSettings, host_of
from service.http.together import Together

OPEN = frozenset(
    {
        ("GET", "/api/v1/health"),
        ("HEAD", "/api/v1/health"),
        ("GET", "/login"),
        ("HEAD", "/login"),
        ("POST", "/login"),
    }
)
"""What needs no user."""
TABLES = "/api/v1/tables"
_READS = ("GET", "HEAD")
_TOKENS = 100  # looked up at once
_PLOTLY = (
    "'unsafe-hashes' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' "
    "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"
)
"""Hashes of the styles that Plotly adds: empty ones (elements, which it then fills by rules, and an
attribute), and a fixed text. A Plotly that adds others is told by the test of the page."""
POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {_PLOTLY}; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, database: Database, settings: ServerSettings) -> None:
        self.app, self.settings = app, settings
        self._users = Together(partial(sessions.find, database), _TOKENS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself what is refused, and hands on the rest."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        secured = _with_headers(send)
        refused = await self._check(scope)
        if refused is not None:
            await refused(scope, receive, secured)
            return
        await self.app(scope, self._limited(scope, receive), secured)

    async def _check(self, scope: Scope) -> Response | None:
        """The refusal, or None; sets the request's user."""
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        if host_of(headers.get("host", "")) not in self.settings.hosts:
            return answer(403, "this server is not known under the name in Host", "Host")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()):
            return answer(400, "Content-Length must be a whole number", "Content-Length")
        if int(length[:19]) > (most := self._most(scope)):
            return answer(413, f"a body has at most {most} bytes, this one {length[:19]}")
        if (method, path) in OPEN:
            return None if method in _READS or _same_origin(headers) else _foreign()
        token = sessions.bearer(headers.get("authorization", ""))
        by_cookie = token is None
        if by_cookie:
            token = sessions.cookie(headers.get("cookie", ""))
        try:
            user = await self._users.ask(token or "")
        except StoreError as error:
            return answer(503, f"the store does not answer: {error}")
        if not user:
            return _unknown(headers, method, path)
        if by_cookie and method not in _READS and not _same_origin(headers):
            return _foreign()
        scope.setdefault("state", {})["user"] = user
        scope["state"]["session"] = token if by_cookie else None
        return None

    def _most(self, scope: Scope) -> int:
        table = scope["method"] == "POST" and scope["path"] == TABLES
        return self.settings.most_table if table else self.settings.most_body

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` that ends a body of more bytes than allowed, whatever its header says."""
        left = self._most(scope)

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                return {"type": "http.disconnect"}
            return message

        return limited


def _same_origin(headers: Headers) -> bool:
    """Whether a write comes from our own page, or from no browser at all."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        return False
    if origin is None:
        return site is not None or "cookie" not in headers
    return urlsplit(origin).netloc == headers.get("host")


def _foreign() -> Response:
    return answer(403, "a write with a cookie must come from this server's own page", "Origin")


def _unknown(headers: Headers, method: str, path: str) -> Response:
    page = method == "GET" and not path.startswith("/api/")
    if page and "text/html" in headers.get("accept", ""):
        return RedirectResponse("/login", 303)
    return answer(
        401,
        "a token is needed: Authorization: Bearer TOKEN, or sign in at /login",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
