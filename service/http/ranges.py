"""A stored file as a response: whole, or the part that a Range header names (RFC 9110, 14)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from jobs.artifacts import length
from service.http.errors import RefusedError

_CHUNK = 1 << 18


def respond(file: BinaryIO, name: str, tag: str, wanted: str | None, known: str | None) -> Response:
    """The response; closes the file when it was sent.

    Args:
        name: offered for saving.
        tag: names the bytes, for ETag.
        wanted: the Range header.
        known: the If-None-Match header.

    Raises:
        RefusedError: a range outside the file.
    """
    quoted = f'"{tag}"'
    headers = {
        "etag": quoted,
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": f'attachment; filename="{plain(name)}"',
    }
    if known is not None and quoted in [part.strip() for part in known.split(",")]:
        file.close()
        return Response(status_code=304, headers=headers)
    size = length(file)
    start, stop, status = 0, size, 200
    if wanted is not None and (part := _range(wanted, size)) is not None:
        start, stop = part
        status = 206
        if start >= size:
            file.close()
            raise RefusedError(416, f"the file has {size} bytes, the range begins at {start}")
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    headers["content-length"] = str(stop - start)
    file.seek(start)
    return StreamingResponse(
        _read(file, stop - start), status, headers, media_type="application/octet-stream"
    )


def plain(name: str) -> str:
    """A file's name without anything that a header or a file system could take amiss."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name[-100:])
    return kept.lstrip(".") or "file"


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Start and end of one range; None where the header asks for what we answer whole.

    A start behind the end of the file is given as it is.
    """
    unit, _, parts = header.partition("=")
    if unit.strip().lower() != "bytes" or "," in parts or len(parts) > 40:
        return None
    first, dash, last = (part.strip() for part in parts.partition("-"))
    if not dash or not all(not p or (p.isascii() and p.isdigit()) for p in (first, last)):
        return None
    if not first:
        return (max(0, size - int(last)), size) if last and int(last) else None
    start, stop = int(first), int(last) + 1 if last else max(size, int(first) + 1)
    return (start, min(stop, size)) if start < stop else None


def _read(file: BinaryIO, left: int) -> Iterator[bytes]:
    with file:
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
