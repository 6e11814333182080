"""The version that is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("stairprune")
except PackageNotFoundError:
    VERSION = "unknown"
