"""Room for so many at once, given out by rank."""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator


class Slots:
    """Like a semaphore, but who waits is let in by rank (the lowest first), not by arrival."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size  # below zero while more are in than there is room for since it was made smaller
        self._waiting: list[tuple[tuple[int, float], int, asyncio.Future[None]]] = []
        self._arrival = itertools.count()

    @contextlib.asynccontextmanager
    async def hold(self, rank: tuple[int, float]) -> AsyncIterator[None]:
        """Room for the length of the block."""
        if self._free > 0 and not self._waiting:
            self._free -= 1
        else:
            await self._wait(rank)
        try:
            yield
        finally:
            self._free += 1
            self._let_in()

    def resize(self, size: int) -> None:
        """Have room for `size` from now on; who is in stays in."""
        self._free += size - self._size
        self._size = size
        self._let_in()

    async def _wait(self, rank: tuple[int, float]) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._arrival), turn))
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # let in and called off at the same moment
                self._free += 1
            turn.cancel()
            self._let_in()
            raise

    def _let_in(self) -> None:
        while self._free > 0 and self._waiting:
            *_, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._free -= 1
                turn.set_result(None)
