"""Finding TensorRT, and what differs between its versions. Knows nothing of networks."""

from __future__ import annotations

import importlib
from typing import cast

from profiler.backend import BackendError
from profiler.trt.module import TensorRT

OLDEST = 10
"""Strongly typed networks, and the names used here, are this old."""
INSTALL = 'pip install --extra-index-url https://pypi.nvidia.com "tensorrt-cu13==11.4.*"'


def load() -> TensorRT:
    """The module `tensorrt`.

    Raises:
        BackendError: it is missing, broken or too old; the message says how to install it.
    """
    if reason := unavailable():
        raise BackendError(reason)
    return _module()


def unavailable() -> str | None:
    """Why TensorRT cannot be used here, in one line, or None if it can be imported."""
    try:
        trt = _module()
    except (ImportError, OSError) as error:
        first = str(error).partition("\n")[0]
        return f"tensorrt cannot be imported: {first}; install it with {INSTALL}"
    if major(trt) < OLDEST:
        return f"tensorrt must be at least {OLDEST}.0, but got {trt.__version__}"
    return None


def major(trt: TensorRT) -> int:
    """The first number of the version."""
    return int(trt.__version__.partition(".")[0])


def creation_flags(trt: TensorRT) -> int:
    """What `create_network` is given so that types are as the network says.

    TensorRT 10 must be told so; later ones know nothing else.
    """
    if major(trt) != 10:
        return 0
    return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def _module() -> TensorRT:
    return cast(TensorRT, importlib.import_module("tensorrt"))
