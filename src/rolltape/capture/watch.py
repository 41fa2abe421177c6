"""One connection, watched: helped by a second one when it falls silent, cut off when it stalls, ended by the clock."""

import asyncio
from collections.abc import Callable
from time import monotonic

from rolltape.capture.beat import beat
from rolltape.capture.flow import Flow
from rolltape.capture.pace import Pace
from rolltape.capture.source import Source
from rolltape.capture.tape import Tape
from rolltape.capture.understudy import Understudy
from rolltape.domain.errors import SourceError, SourceLost
from rolltape.domain.units import Seconds

TICK = Seconds(1)
LAST_TICKS = Seconds(0.1)  # when it is about to end
LAST = Seconds(0.7)  # before the end
SYNC = Seconds(5)
GATHER = Seconds(0.5)  # of audio may wait in the network's buffers
QUIET = Seconds(2)  # without audio: then nothing may wait there
SILENT = Seconds(1.5)  # without audio, or three times as long as is usual here: then a second connection may help
SURE = Seconds(0.25)  # until a silence is looked at again; our own event loop may have been held up
SHORTEST_GRACE = Seconds(0.5)  # for the last seconds of the window to arrive
LONGEST_GRACE = Seconds(12)  # an HLS segment is rarely longer
LONGEST_LAG = Seconds(30)  # of a server that sends later than the one before it
SLOWEST = 0.25  # of real time; what comes more slowly over `stall_timeout` has stalled


class Watch:
    """Receives from `url` into `tape`. `closes` says when the window closes, by the monotonic clock: it may move.

    `pace` tells how fast the audio comes.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        url: str,
        tape: Tape,
        *,
        stall_timeout: Seconds,
        closes: Callable[[], float],
    ) -> None:
        self._open_source = open_source
        self._source = open_source()
        self._url = url
        self._tape = tape
        self._stall_timeout = stall_timeout
        self._closes = closes
        self._loop = asyncio.get_running_loop()
        self._receiving: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reason: SourceError | OSError | None = None
        self._mark = (monotonic(), 0.0)  # when the rate was looked at last, and what had come then
        self._gathers = Seconds(0)
        self._synced = 0.0
        self._suspects = False  # that nothing comes any more
        self._spare: asyncio.Task[None] | None = None  # the second connection
        self._successor: tuple[Source, Understudy] | None = None  # it has news; the first one is being ended
        self._has_ended = False
        self._next_spare = 0.0  # not before this moment
        self._spare_delay = SILENT
        self._paced: Flow | None = None  # what `pace` measures
        self.pace = Pace()

    async def until_end(self) -> SourceError | None:
        """Why the connection ended; None where the window is over.

        Raises:
            OSError: the disk is full or broken.
        """
        self._receiving = asyncio.create_task(self._source.receive(self._url, self._tape))
        self.look()
        try:
            receiving = await self._last_receiving()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            tasks = {task for task in (self._receiving, self._spare) if task is not None}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if receiving.cancelled():
            if isinstance(self._reason, OSError):
                raise self._reason
            return self._reason
        error = receiving.exception()
        if isinstance(error, SourceError):
            return error
        raise error or RuntimeError(f"{type(self._source).__name__} ended without an error")

    async def _last_receiving(self) -> asyncio.Task[None]:
        """The task that receives, once it has ended and no other one took over from it."""
        while True:
            assert self._receiving is not None
            await asyncio.wait({self._receiving})
            if self._successor is None or self._has_ended:
                return self._receiving
            if not self._receiving.cancelled():
                self._receiving.exception()  # it broke off just now; that does not matter any more
            self._change_over(self._successor)

    def look(self) -> None:
        """See how it goes, and look again a little later."""
        try:
            self._look()
        except OSError as exc:  # nobody else would hear of it: this is called by a timer
            self._end(exc)

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._tape.judge()
        now, closes, flow = monotonic(), self._closes(), self._tape.flow
        if now >= closes and (flow is None or self._has_all(flow, closes, now)):
            self._end(None)
            return
        stalled = self._stalled(flow, now) if flow is not None else None
        if stalled is not None:
            self._end(stalled)
            return
        if flow is not None:
            self._care_for(flow, now, closes)
            self._help(flow, now)
        delay = SURE if self._suspects else LAST_TICKS if now >= closes - LAST else min(TICK, closes - LAST - now)
        self._timer = self._loop.call_at(beat(now, delay), self.look)

    def _end(self, reason: SourceError | OSError | None) -> None:
        self._reason, self._has_ended = reason, True
        if self._receiving is not None:
            self._receiving.cancel()

    def _stalled(self, flow: Flow, now: float) -> SourceLost | None:
        """What is wrong with the flow of audio, if anything."""
        if flow.silence > self._stall_timeout:
            return SourceLost(f"No audio came for {self._stall_timeout:.0f} s.", code="stalled")
        since, media = self._mark
        if now - since < self._stall_timeout or flow.silence > QUIET:  # a silence has a time-out of its own
            return None
        self._mark = (now, flow.media)
        if 0 <= flow.media - media < SLOWEST * (now - since):
            share = (flow.media - media) / (now - since)
            return SourceLost(f"The audio came at {share:.0%} of the speed that it plays at.", code="too_slow")
        return None

    def _care_for(self, flow: Flow, now: float, closes: float) -> None:
        is_urgent = now >= closes - LAST - TICK or flow.silence > QUIET
        gathers = Seconds(0) if is_urgent or now - flow.opened < QUIET else GATHER
        if gathers != self._gathers:
            self._gathers = gathers
            self._source.gather(gathers)
            if not gathers:
                self._drain(flow)
        if flow is not self._paced:
            self._paced = flow
            self.pace.anew()
        if flow.media and (news := self.pace.note(now, flow.media, is_even=flow.is_even)):
            self._tape.note("note", news)
        if flow.media and now - self._synced >= SYNC:
            self._synced = now
            self._tape.sync_soon()

    def _help(self, flow: Flow, now: float) -> None:
        """Open a second connection beside one that is silent, and close it when the first one speaks again."""
        is_silent = flow.silence > max(SILENT, 3 * flow.pause)
        if self._spare is not None and self._successor is None:
            if not is_silent or self._spare.done():
                self._dismiss(self._spare)
        elif is_silent and self._suspects:
            self._suspects = False
            self._call_spare()
        elif self._spare is None:
            take = self._tape.take
            self._suspects = is_silent and now >= self._next_spare and take is not None and take.is_ours

    def _call_spare(self) -> None:
        source = self._open_source()
        understudy = Understudy(self._tape, speaks=lambda: self._end_first((source, understudy)))
        self._spare = asyncio.create_task(source.receive(self._url, understudy))

    def _dismiss(self, spare: "asyncio.Task[None]") -> None:
        """The first connection speaks again, or this one failed; then the next one has time."""
        if spare.done() and not spare.cancelled():
            spare.exception()  # what is wrong is told when the first one fails as well
            self._next_spare = monotonic() + self._spare_delay
            self._spare_delay = Seconds(min(2 * self._spare_delay, self._stall_timeout))
        spare.cancel()
        self._spare = None

    def _end_first(self, successor: tuple[Source, Understudy]) -> None:
        """End the first connection. Its last frame comes only when it has ended, and before those of the second."""
        if self._successor is None and self._receiving is not None:
            self._successor = successor
            self._receiving.cancel()

    def _change_over(self, successor: tuple[Source, Understudy]) -> None:
        """Receive by the second connection from now on."""
        self._source, understudy = successor
        self._receiving, self._spare, self._successor = self._spare, None, None
        self._gathers, self._mark = Seconds(0), (monotonic(), 0.0)
        silence = self._tape.flow.silence if self._tape.flow is not None else Seconds(0)
        why = f"No audio came for {silence:.1f} s."
        self._tape.close_take(why)
        self._tape.note("changed_over", f"{why} A second connection was opened beside it, and takes over.")
        understudy.take_over()

    def _drain(self, flow: Flow) -> None:
        """Let what waits in the network's buffers come without being taken for new. It comes in the next round."""
        flow.is_draining = True
        self._loop.call_soon(self._loop.call_soon, setattr, flow, "is_draining", False)

    def _has_all(self, flow: Flow, closes: float, now: float) -> bool:
        """Whether there is audio up to the end of the window, or will not be soon."""
        if self._tape.reaches >= closes:
            return True
        grace = min(max(flow.pause * 1.2, SHORTEST_GRACE), LONGEST_GRACE)
        return now >= closes + grace + min(self._tape.lag, LONGEST_LAG)
