"""What the rest of the program asks of an engine."""

from datetime import datetime
from typing import Protocol

from rolltape.pipeline import Queue


class Engine(Protocol):
    """Runs sessions: at a moment, as many at once as a queue has room for, again after a crash."""

    async def start(self) -> None:
        """Begin, with everything that an earlier run left unfinished."""

    def submit(self, session_id: int, queue: Queue, at: datetime | None, rank: tuple[int, float]) -> None:
        """Run a session at `at` (None: now), the lowest `rank` first where room is short; harmless if it runs."""

    async def lost(self) -> None:
        """Submit every session that should be running and is not."""

    async def stop(self) -> None:
        """Interrupt everything; what is interrupted goes on at the next start."""
