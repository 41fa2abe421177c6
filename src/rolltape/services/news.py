"""News: which tables have changed. Hints and no more; who is interested asks anew for what it shows."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

Topic = str  # the name of a table: "sessions", "transfers", ...


class News:
    """Tells every listener what has changed since it last heard. Belongs to one event loop.

    `count` is another one after each change, and after a restart: who knows it sees whether it has missed something.
    """

    def __init__(self) -> None:
        self.count = int(time.time() * 1000)
        self._listeners: set[_Listener] = set()
        self._is_over = False

    def tell(self, topics: Iterable[Topic]) -> None:
        topics = set(topics)
        if not topics:
            return
        self.count += 1
        for listener in self._listeners:
            listener.hear(topics)

    async def listen(self, *, patience: float) -> AsyncIterator[frozenset[Topic]]:
        """The topics that have changed, as soon as some have; an empty set after `patience` seconds without any.

        Ends when the service does.
        """
        listener = _Listener()
        self._listeners.add(listener)
        try:
            while not self._is_over:
                yield await listener.next(patience)
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Let all who listen go, and whoever comes later."""
        self._is_over = True
        for listener in self._listeners:
            listener.hear(set())


class _Listener:
    """What one listener has not heard yet. However much happens, it holds no more than the names of the topics."""

    def __init__(self) -> None:
        self._topics: set[Topic] = set()
        self._bell = asyncio.Event()

    def hear(self, topics: set[Topic]) -> None:
        self._topics |= topics
        self._bell.set()

    async def next(self, patience: float) -> frozenset[Topic]:
        try:
            await asyncio.wait_for(self._bell.wait(), patience)
        except TimeoutError:
            return frozenset()
        self._bell.clear()
        heard, self._topics = frozenset(self._topics), set()
        return heard
