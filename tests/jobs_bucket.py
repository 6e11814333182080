"""S3 on this machine: moto's server, and a new bucket of it."""

from __future__ import annotations

import secrets
from functools import cache

import pytest


@cache
def _server() -> str:
    """Its address; it ends with the tests."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket, with what opens it in the environment."""
    import s3fs

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", _server())
    name = f"files-{secrets.token_hex(4)}"
    s3fs.S3FileSystem(use_listings_cache=False).mkdir(name)
    return f"s3://{name}/stairprune"
