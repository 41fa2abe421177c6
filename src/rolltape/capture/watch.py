"""One connection, watched: helped by a second one when it falls silent, cut off when it stalls, ended by the clock."""

import asyncio
from collections.abc import Callable
from time import monotonic

from rolltape.capture.beat import beat
from rolltape.capture.flow import EVEN, Flow
from rolltape.capture.pace import Pace
from rolltape.capture.source import Source
from rolltape.capture.tape import Tape
from rolltape.capture.understudy import Relief
from rolltape.domain.errors import SourceError, SourceLost
from rolltape.domain.units import Seconds

TICK = Seconds(1)
LAST_TICKS = Seconds(0.1)  # when it is about to end
LAST = Seconds(0.7)  # before the end
SYNC = Seconds(5)
GATHER = Seconds(0.7)  # of audio may wait in the network's buffers
QUIET = Seconds(2)  # without audio: then nothing may wait there
SURE = Seconds(0.25)  # until a silence is looked at again
SHORTEST_GRACE = Seconds(0.5)  # for the last seconds of the window to arrive
LONGEST_GRACE = Seconds(12)  # an HLS segment is rarely longer
LONGEST_LAG = Seconds(30)  # of a server that sends later than the one before it
SLOWEST = 0.25  # of real time; what comes more slowly over `stall_timeout` has stalled


class Watch:
    """Receives from `url` into `tape`. `closes` says when the window closes, by the monotonic clock: it may move.

    A connection that has not sent any audio is waited for until `connects_until`.
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
        connects_until: Callable[[], float],
    ) -> None:
        self._source = open_source()
        self._url = url
        self._tape = tape
        self._stall_timeout = stall_timeout
        self._closes = closes
        self._connects_until = connects_until
        self._loop = asyncio.get_running_loop()
        self._receiving: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reason: SourceError | OSError | None = None
        self._mark = (monotonic(), 0.0)  # when the rate was looked at last, and what had come then
        self._gathers = Seconds(0)
        self._synced = 0.0
        self._has_ended = False
        self._relief = Relief(open_source, url, tape, patience=stall_timeout, on_speaks=self._end_first)
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
            tasks = {task for task in (self._receiving, self._relief.receiving) if task is not None}
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
            if not self._relief.speaks or self._has_ended:
                return self._receiving
            if not self._receiving.cancelled():
                self._receiving.exception()  # it broke off just now; that does not matter any more
            self._change_over()

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
        if now >= closes and (self._has_all(flow, closes, now) if flow is not None else now >= self._connects_until()):
            self._end(None)
            return
        stalled = self._stalled(flow, now) if flow is not None else None
        if stalled is not None:
            self._end(stalled)
            return
        if flow is not None:
            self._care_for(flow, now, closes)
            self._relief.look(flow, now)
        left = closes - LAST - now
        delay = SURE if self._relief.suspects else LAST_TICKS if left <= 0 else min(TICK, left)
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

    def _end_first(self) -> None:
        """A second connection has news: end the first one."""
        if self._receiving is not None:
            self._receiving.cancel()

    def _change_over(self) -> None:
        """Receive by the second connection from now on."""
        self._source, understudy, self._receiving = self._relief.hand_over()
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
        return now >= max(closes, flow.opened + EVEN) + grace + min(self._tape.lag, LONGEST_LAG)
