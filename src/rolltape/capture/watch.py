"""One connection, watched: cut off when it stalls, ended when the window is over."""

import asyncio
from collections.abc import Callable
from time import monotonic

from rolltape.capture.source import Source
from rolltape.capture.tape import Take, Tape
from rolltape.domain.errors import SourceError, SourceLost
from rolltape.domain.units import Seconds

TICK = Seconds(1)
LAST_TICKS = Seconds(0.1)  # when it is about to end
LAST = Seconds(0.7)  # before the end
SYNC = Seconds(5)
GATHER = Seconds(0.5)  # of audio may wait in the network's buffers
QUIET = Seconds(2)  # without audio: then nothing may wait there
SHORTEST_GRACE = Seconds(0.5)  # for the last seconds of the window to arrive
LONGEST_GRACE = Seconds(12)  # an HLS segment is rarely longer
SLOWEST = 0.25  # of real time; what comes more slowly over `stall_timeout` has stalled


class Watch:
    """Receives from `url` into `tape`. `closes` says when the window closes, by the monotonic clock: it may move."""

    def __init__(
        self, source: Source, url: str, tape: Tape, *, stall_timeout: Seconds, closes: Callable[[], float]
    ) -> None:
        self._source = source
        self._url = url
        self._tape = tape
        self._stall_timeout = stall_timeout
        self._closes = closes
        self._loop = asyncio.get_running_loop()
        self._receiving: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reason: SourceError | OSError | None = None
        self._mark = (monotonic(), 0.0)  # when the rate was looked at last, and the media time then
        self._gathers = Seconds(0)
        self._synced = 0.0

    async def until_end(self) -> SourceError | None:
        """Why the connection ended; None where the window is over.

        Raises:
            OSError: the disk is full or broken.
        """
        self._receiving = asyncio.create_task(self._source.receive(self._url, self._tape))
        self.look()
        try:
            await asyncio.wait({self._receiving})
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._receiving.cancel()
            await asyncio.wait({self._receiving})
        if self._receiving.cancelled():
            if isinstance(self._reason, OSError):
                raise self._reason
            return self._reason
        error = self._receiving.exception()
        if isinstance(error, SourceError):
            return error
        raise error or RuntimeError(f"{type(self._source).__name__} ended without an error")

    def look(self) -> None:
        """See how it goes, and look again a little later."""
        try:
            self._look()
        except OSError as exc:  # nobody else would hear of it: this is called by a timer
            self._end(exc)

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now, closes, take = monotonic(), self._closes(), self._tape.take
        if now >= closes and _has_all(take, closes, now):
            self._end(None)
            return
        stalled = self._stalled(take, now) if take is not None else None
        if stalled is not None:
            self._end(stalled)
            return
        if take is not None:
            self._care_for(take, now, closes)
        delay = LAST_TICKS if now >= closes - LAST else min(TICK, closes - LAST - now)
        self._timer = self._loop.call_later(delay, self.look)

    def _end(self, reason: SourceError | OSError | None) -> None:
        self._reason = reason
        if self._receiving is not None:
            self._receiving.cancel()

    def _stalled(self, take: Take, now: float) -> SourceLost | None:
        """What is wrong with the flow of audio, if anything."""
        if now - take.arrived > self._stall_timeout:
            return SourceLost(f"No audio came for {self._stall_timeout:.0f} s.", code="stalled")
        since, media = self._mark
        if now - since < self._stall_timeout:
            return None
        self._mark = (now, take.media)
        if 0 <= take.media - media < SLOWEST * (now - since):
            share = (take.media - media) / (now - since)
            return SourceLost(f"The audio came at {share:.0%} of the speed that it plays at.", code="too_slow")
        return None

    def _care_for(self, take: Take, now: float, closes: float) -> None:
        is_urgent = now >= closes - LAST - TICK or now - take.arrived > QUIET
        gathers = Seconds(0) if is_urgent or now - take.opened < QUIET else GATHER
        if gathers != self._gathers:
            self._gathers = gathers
            self._source.gather(gathers)
            if not gathers:
                self._drain(take)
        if take.media and now - self._synced >= SYNC:
            self._synced = now
            self._tape.sync_soon()

    def _drain(self, take: Take) -> None:
        """Let what waits in the network's buffers come without being taken for new. It comes in the next round."""
        take.is_draining = True
        self._loop.call_soon(self._loop.call_soon, setattr, take, "is_draining", False)


def _has_all(take: Take | None, closes: float, now: float) -> bool:
    """Whether the take reaches to the end of the window, or will not soon."""
    if take is None or take.zero + take.media >= closes:
        return True
    return now >= closes + min(max(take.pause * 1.2, SHORTEST_GRACE), LONGEST_GRACE)
