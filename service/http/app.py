"""`create_app`: the server's ASGI application. Knows no jobs: routes do, one file each."""

from __future__ import annotations

import importlib
import pkgutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from jobs.submit import MOST_AT_ONCE
from service.http import errors, routes
from service.http.context import Context
from service.http.metrics import Measured, Metrics
from service.http.security import Guard
from service.http.sessions import OneTimeCodes
from service.http.settings import ServerSettings
from service.http.submitting import taking
from service.http.together import Together
from service.instance import Instance
from service.library import Library
from service.version import VERSION
from service.web import pages


def create_app(instance: Instance, settings: ServerSettings | None = None) -> FastAPI:
    """The application over an opened instance; starts nothing."""
    settings = settings or ServerSettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = settings.threads
        yield

    app = FastAPI(
        title="stairprune",
        version=VERSION,
        lifespan=lifespan,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    metrics = Metrics(instance.database)
    app.state.context = Context(
        instance=instance,
        settings=settings,
        codes=OneTimeCodes(),
        metrics=metrics,
        library=Library(instance),
        submissions=Together(taking(instance.database), MOST_AT_ONCE),
        streams=threading.BoundedSemaphore(settings.most_streams),
    )
    names = [module.name for module in pkgutil.iter_modules(routes.__path__)]
    # Every request walks the routes from the first, so what is asked for most comes first; last
    # comes what takes any word for a verb.
    for name in sorted(names, key=lambda name: (name != "jobs", name == "steering", name)):
        app.include_router(importlib.import_module(f"{routes.__name__}.{name}").router)
    app.include_router(pages.router)
    if settings.studies is not None:
        # Optional, and it brings Optuna into the server.
        from service.http.dashboard import dashboard

        app.routes.extend(dashboard(settings.studies))
    errors.install(app)
    # The last one added is the outermost.
    app.add_middleware(Measured, metrics=metrics)
    app.add_middleware(Guard, database=instance.database, settings=settings)
    return app
