"""How many connections there may be, and how long one may stay silent: a recording must always find one free.

uvicorn waits for ever for the end of a request that has begun, and takes as many connections as come.
"""

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from rolltape.domain.units import Seconds

MOST_FILES = 65_536  # open files and connections of the process
MOST_CONNECTIONS = 4_000  # of browsers; at most a quarter of the files, the rest is for recordings and deliveries
PATIENCE = Seconds(20)  # for the head of a request


def raise_limits() -> int:
    """Allow the process as many open files as the system lets it have; returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    wanted = max(soft, possible) if soft != resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted if wanted != resource.RLIM_INFINITY else MOST_FILES


def most_connections(files: int) -> int:
    """How many connections of browsers are held at once where the process may have so many open files."""
    return min(MOST_CONNECTIONS, files // 4)


class Connection(H11Protocol):
    """A connection of a browser: refused when there are too many, ended when it asks for nothing."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency:
            transport.abort()
            return
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering():
            self._stop_waiting()
        elif self._timer is None and not self.transport.is_closing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        self._timer = self.loop.call_later(PATIENCE, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
