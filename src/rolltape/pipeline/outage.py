"""A disk that takes nothing: the sessions that wait for it are told of, once, and go on by themselves."""

import asyncio
import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path

from rolltape.disk import try_out
from rolltape.domain.units import Seconds, megabytes
from rolltape.services.findings import Finding

LOOK = Seconds(1)  # between looks whether it takes audio again
ENOUGH = megabytes(1)  # a minute of 128 kbit/s, so that it is not full again at once
SAME = Seconds(60)  # when it fails again within this, that is no news

_ADVICE = "Make room on the disk, or connect it again. What was recorded is kept; everything goes on by itself then."


class Halted:
    """The sessions that wait for a disk, by their numbers, and why, as a sentence."""

    def __init__(self) -> None:
        self._why: dict[int, str] = {}
        self._tries: dict[int, int] = {}

    def __contains__(self, session_id: int) -> bool:
        return session_id in self._why

    def add(self, session_id: int, why: str) -> int:
        """Enter that it waits; how often it has been entered before, without a success in between."""
        self._why[session_id] = why
        tries = self._tries.get(session_id, 0)
        self._tries[session_id] = tries + 1
        return tries

    def remove(self, session_id: int) -> None:
        self._why.pop(session_id, None)
        self._tries.pop(session_id, None)

    def findings(self) -> list[Finding]:
        """One for all of them."""
        if not self._why:
            return []
        count, why = len(self._why), next(iter(self._why.values()))
        sessions = "A session waits" if count == 1 else f"{count} sessions wait"
        return [Finding("halted", "error", f"{sessions} for the disk: {why}", _ADVICE, "/sessions")]


@dataclass
class Place:
    """Where a session records to. It stays on one disk: on another one nobody would look for its takes.

    Where a disk was taken away, the empty folder that it was mounted on could be written, too.
    """

    recordings: Path
    takes: Path
    disk: int | None = None  # the device

    def make(self) -> None:
        """Make the folder of its takes.

        Raises:
            OSError: it cannot be made, or its disk is not there.
        """
        disk = self.recordings.stat().st_dev
        if self.disk is not None and disk != self.disk:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.recordings))
        self.takes.mkdir(parents=True, exist_ok=True)
        self.disk = disk

    def takes_audio(self) -> bool:
        """Whether audio can be written there. Waits for the disk."""
        try:
            self.make()
            try_out(self.takes, ENOUGH)
        except OSError:
            return False
        return True


class Outages:
    """How often the disk of one session fails: a disk that keeps filling up is told of once."""

    def __init__(self) -> None:
        self._ended = -SAME

    @property
    def is_news(self) -> bool:
        return time.monotonic() - self._ended >= SAME

    async def over(self, place: Place) -> bool:
        """Look whether it is over, and wait a little if not."""
        if await asyncio.to_thread(place.takes_audio):
            self._ended = time.monotonic()
            return True
        await asyncio.sleep(LOOK)
        return False
