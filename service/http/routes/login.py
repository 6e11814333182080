"""Signing a browser in and out."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from jobs import users
from service.http.context import Context, Server
from service.http.sessions import COOKIE, find, open_session
from service.web.pages import render

router = APIRouter(include_in_schema=False)


@router.get("/login")
def page(server: Server, code: Annotated[str, Query(max_length=200)] = "") -> Response:
    """The form; with a one-time code, a session at once."""
    if not code:
        return _form()
    user = server.codes.take(code)
    if user is None:
        return _form("This link was used before, or is too old.")
    return _signed_in(server, user)


@router.post("/login")
async def sign_in(request: Request) -> Response:
    """A session for a token."""
    server: Context = request.app.state.context
    fields = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=10)
    token = fields.get("token", [""])[0]
    [user] = await run_in_threadpool(find, server.instance.database, [token])
    if user is None:
        return _form("This token is not known, or has ended.")
    return await run_in_threadpool(_signed_in, server, user.name)


@router.post("/logout")
def sign_out(request: Request, server: Server) -> Response:
    """Ends the session."""
    if (session := request.state.session) is not None:
        users.revoke(server.instance.database, session)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer


def _form(note: str = "") -> HTMLResponse:
    return HTMLResponse(render("login", note=note), 401 if note else 200)


def _signed_in(server: Context, user: str) -> Response:
    lasts = server.settings.session_s
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        COOKIE,
        open_session(server.instance.database, user, lasts),
        max_age=int(lasts),
        httponly=True,
        samesite="strict",
        secure=server.settings.secure,
    )
    return answer
