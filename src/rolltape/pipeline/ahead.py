"""What is done for sessions ahead of their end, beside their recording."""

import asyncio
from contextlib import suppress
from pathlib import Path

from rolltape.process.ahead import Ahead, Limits


class WorkAhead:
    """The work that is under way, by the folder of the takes."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._works: dict[Path, tuple[Ahead, asyncio.Task[None]]] = {}

    def begin(self, folder: Path, *, quality: str, ffmpeg: str) -> None:
        """Takes are going to grow in `folder`."""
        before = self._works.get(folder)
        work = Ahead(folder, self.limits, quality=quality, ffmpeg=ffmpeg)
        self._works[folder] = work, asyncio.create_task(_run(work, before[1] if before else None))

    def end(self, folder: Path) -> None:
        """They grow no more, for now: what is begun is brought to its end."""
        if folder in self._works:
            self._works[folder][0].end()

    async def finished(self, folder: Path) -> None:
        """Return when nothing more is done ahead in `folder`."""
        if folder in self._works:
            work, task = self._works[folder]
            work.end()
            await asyncio.shield(asyncio.wait([task]))
            self._forget(folder, task)

    async def drop(self, folder: Path) -> None:
        """Nothing in `folder` is needed any more."""
        if folder in self._works:
            _, task = self._works[folder]
            task.cancel()
            await asyncio.wait([task])
            self._forget(folder, task)

    def _forget(self, folder: Path, task: asyncio.Task[None]) -> None:
        if folder in self._works and self._works[folder][1] is task:
            del self._works[folder]


async def _run(work: Ahead, before: asyncio.Task[None] | None) -> None:
    """Work, once an earlier one in the same folder has ended."""
    if before is not None:
        before.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([before])
    await work.run()
