"""What has to wait for the disk, done by threads of its own: many sessions at once in one go.

To hand something over to a thread and hear of its end costs more than to put a few seconds of audio on the disk.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from weakref import WeakKeyDictionary

from rolltape.domain.units import Seconds

TOGETHER = Seconds(0.5)  # what is to be done within so much is done together
_THREADS = 2  # a disk does one thing at a time

Action = Callable[[], None]


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, "sync")


class Syncing:
    """All that the sessions of one event loop have to put on the disk."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[Action, asyncio.Future[None]]] = []

    def now(self, action: Action) -> asyncio.Future[None]:
        return self._loop.run_in_executor(_threads(), action)

    def soon(self, action: Action) -> asyncio.Future[None]:
        """Together with what others have to do soon."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((action, done))
        if len(self._waiting) == 1:
            self._loop.call_later(TOGETHER, self.hurry)
        return done

    def hurry(self) -> None:
        """Do what was to be done soon."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            running = self._loop.run_in_executor(_threads(), _run, [action for action, _ in waiting])
            running.add_done_callback(lambda ran: _tell(ran.result(), [done for _, done in waiting]))


_known: WeakKeyDictionary[asyncio.AbstractEventLoop, Syncing] = WeakKeyDictionary()


def syncing() -> Syncing:
    """That of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _known.get(loop)
    if found is None:
        found = _known[loop] = Syncing(loop)
    return found


def _run(actions: list[Action]) -> list[OSError | None]:
    """Do all of them; what each of them raised."""
    return [_error(action) for action in actions]


def _error(action: Action) -> OSError | None:
    try:
        action()
    except OSError as exc:
        return exc
    return None


def _tell(errors: list[OSError | None], done: list["asyncio.Future[None]"]) -> None:
    for error, future in zip(errors, done, strict=True):
        if future.cancelled():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
