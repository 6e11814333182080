"""`Gathering`: a stage's worker and its members on other hosts, as the worker sees them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """Who runs a stage together; alone if nothing else is said.

    Attributes:
        hosts: how many run it, this one included.
        address: of this host, where members reach it.
        call: publishes where they find it, as JSON text.
    """

    hosts: int = 1
    address: str = "127.0.0.1"
    call: Callable[[str], None] = lambda place: None

    def meet(self, **place: Any) -> None:
        """Calls the members, who are told `place`."""
        self.call(json.dumps(place))

    def free_port(self) -> int:
        """A port of this host that nobody uses now."""
        with socket.create_server((self.address, 0)) as server:
            port: int = server.getsockname()[1]
        return port


ALONE = Gathering()
