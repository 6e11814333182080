"""`Log`: what TensorRT had to say, so that its own words reach the user. Knows no networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from profiler.backend import BackendError
from profiler.trt import api
from profiler.trt.module import TensorRT

MOST = 500
"""Characters of TensorRT's messages in an error: the line stays readable."""
CUDA = "Cuda Runtime"
T = TypeVar("T")


class Log:
    """Errors that TensorRT reported since the last `clear`.

    Attributes:
        logger: to be handed to TensorRT; must outlive what was made with it.
    """

    def __init__(self, trt: TensorRT) -> None:
        self.messages: list[str] = []
        self.logger = _logger(trt, self.messages)

    def clear(self) -> None:
        """Forgets the messages."""
        self.messages.clear()

    def need(self, value: T | None, what: str) -> T:
        """`value`, which TensorRT gave.

        Raises:
            BackendError: it is None, TensorRT's way to say that it failed.
        """
        if value is None:
            self.fail(what)
        return value

    def made(self, make: Callable[[api.ILogger], T], what: str) -> T:
        """What a class of TensorRT gives for our logger.

        Raises:
            BackendError: it gives nothing, as where there is no usable GPU.
        """
        try:
            return make(self.logger)
        except TypeError:  # what pybind11 makes of nothing
            self.fail(f"start {what}")

    def fail(self, what: str) -> NoReturn:
        """Raises BackendError: TensorRT cannot do `what`, and its own words why."""
        # what CUDA reports beside it tells less than what TensorRT says itself
        said = sorted(dict.fromkeys(self.messages), key=lambda message: CUDA in message)
        text = " ".join("; ".join(said).split()) or "it gave no reason"
        self.clear()
        raise BackendError(f"tensorrt cannot {what}: {text[:MOST]}")


def _logger(trt: TensorRT, messages: list[str]) -> api.ILogger:
    errors = {trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR}

    def log(self: api.ILogger, severity: api.Severities, msg: str) -> None:
        if severity in errors:
            messages.append(msg)

    def init(self: api.ILogger) -> None:
        # without it, pybind11 refuses the object
        trt.ILogger.__init__(self)

    logger: api.ILogger = type("Errors", (trt.ILogger,), {"__init__": init, "log": log})()
    return logger
