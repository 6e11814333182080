"""Figures for Prometheus: requests, and what the store holds at the moment of asking."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs import views
from jobs.database import Database


class Metrics:
    """The registry of one server."""

    def __init__(self, database: Database) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "stairprune_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "stairprune_request_seconds",
            "Seconds to the first byte of an answer",
            ("method", "route"),
            registry=self.registry,
        )
        self.registry.register(_Jobs(database))

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)


class _Jobs(Collector):
    """Jobs by state, stages that run, and how long the oldest job has waited."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        counts = views.counts(self._database)
        jobs = GaugeMetricFamily("stairprune_jobs", "Jobs by state", labels=("state",))
        for state, count in counts.jobs.items():
            jobs.add_metric((state,), count)
        yield jobs
        waits = GaugeMetricFamily(
            "stairprune_oldest_queued_seconds", "Age of the oldest queued job"
        )
        waits.add_metric((), counts.oldest_queued_s)
        yield waits
        hosts = GaugeMetricFamily("stairprune_executors", "Hosts that take work now")
        hosts.add_metric((), counts.executors)
        yield hosts

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())


class Measured:
    """ASGI middleware that counts what the routes answer; by route, never by path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on, and counts at the first byte."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.monotonic()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                name = route.path if isinstance(route, Route) else "none"
                method = scope["method"] if name != "none" else "any"
                self.metrics.requests.labels(method, name, message["status"]).inc()
                self.metrics.seconds.labels(method, name).observe(time.monotonic() - start)
            await send(message)

        await self.app(scope, receive, counted)
