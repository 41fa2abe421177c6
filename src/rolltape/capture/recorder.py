"""Step 1 of a session: its window recorded, whatever the stream does meanwhile.

A source is opened, watched, opened again when it breaks off or falls silent, and ended by the clock.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from rolltape.capture.attempts import Attempts
from rolltape.capture.clock import Clock
from rolltape.capture.connect import listens
from rolltape.capture.journal import INTERRUPTED, read_journal, window_fields
from rolltape.capture.registry import HTTP, CaptureSettings, source_for
from rolltape.capture.tape import Tape
from rolltape.capture.watch import Watch
from rolltape.disk import cause
from rolltape.domain.address import DEFAULT_PORTS, mask
from rolltape.domain.errors import SourceError, SourceUnreachable
from rolltape.domain.recording import CLOCK, RESENT, account
from rolltape.domain.session import SOON, Plan
from rolltape.domain.take import TakeFacts
from rolltape.domain.units import BitsPerSecond, Seconds

CONNECT_AHEAD = Seconds(5)  # of the opening of the window; slow servers need it, and what comes early is cut off
GOLDEN = 0.618034  # its multiples, without their whole part, are spread evenly
SPREAD = Seconds(3)  # further ahead: the sessions of one second do not all connect in the same moment
LOOK = Seconds(0.5)  # between looks whether a server listens again
NOBODY_THERE = ("connect_refused", "connect_timeout", "no_route")
LATE = Seconds(10)  # after the window closed: what the server sends again may still bring its end
SETTLED = Seconds(5)  # after its first audio, a take is known well enough to say when it began


@dataclass(frozen=True)
class CaptureEvent:
    """One line of the story of a session. `message` is for people, without passwords."""

    at: datetime
    kind: str
    message: str


@dataclass(frozen=True)
class Progress:
    """How far a recording is. `recorded` is audio inside of the window; `bytes` is everything received.

    `speed` is how fast the audio came over the last minute, 1 for as fast as it plays; None: not known (yet).
    `stall` is the longest time for which none came up to now.
    """

    recorded: Seconds
    bytes: int
    bit_rate: BitsPerSecond | None
    title: str | None
    takes: int
    gaps: int
    connected: bool
    speed: float | None
    stall: Seconds


def connect_ahead(session_id: int) -> Seconds:
    """How long before its window opens a session connects: sessions of neighbouring numbers far apart."""
    return Seconds(CONNECT_AHEAD + SPREAD * (session_id * GOLDEN % 1))


class Recorder:
    """Records what `plan` says into takes in `folder`, with a journal beside them."""

    def __init__(
        self, plan: Plan, folder: Path, settings: CaptureSettings, *, on_event: Callable[[CaptureEvent], None]
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._settings = settings
        self._on_event = on_event
        self._attempts = Attempts(plan.stream.urls, plan.stream.max_attempts)
        self._clock = Clock()
        self._window = plan.window
        self._is_settled = not plan.begins_with_audio  # whether the window stays where it is
        self._tape: Tape | None = None
        self._watch: Watch | None = None
        self._stop_asked = asyncio.Event()
        self._stopped_at: float | None = None  # by the monotonic clock

    async def run(self) -> None:
        """Record until the window closes or somebody stops it.

        Where the folder holds the journal of an earlier run, the session goes on with the next take.

        Raises:
            SourceError: there is no audio at all in the end.
            OSError: the folder cannot be written (any more). What was recorded is kept, up to the last whole frame.
        """
        self._clock = Clock()
        self._folder.mkdir(parents=True, exist_ok=True)
        earlier = read_journal(self._folder)
        if earlier.window is not None and earlier.takes:
            self._window, self._is_settled = earlier.window, True
        tape = self._tape = Tape(self._folder, self._clock, list(earlier.takes), on_event=self._tell)
        try:
            if not earlier.stopped:
                self._note_window()
                await self._record(tape)
        except BaseException as exc:
            with contextlib.suppress(OSError):  # what ended it counts
                tape.close_take(cause(exc, self._folder) if isinstance(exc, OSError) else INTERRUPTED)
            with contextlib.suppress(OSError):
                await tape.close()
            raise
        tape.close_take(INTERRUPTED)
        await tape.close()
        if not tape.done:
            raise self._attempts.error or _too_late()

    def stop(self) -> None:
        """End it now; what was recorded is kept."""
        if self._stopped_at is None:
            self._stopped_at = monotonic()
            self._stop_asked.set()
            if self._watch is not None:
                self._watch.look()

    @property
    def takes(self) -> Sequence[TakeFacts]:
        """The takes that are closed, as they are known here; on a disk that was full the journal may know less."""
        return self._tape.done if self._tape is not None else ()

    @property
    def progress(self) -> Progress:
        tape = self._tape
        if tape is None:
            return Progress(Seconds(0), 0, None, None, 0, 0, False, None, Seconds(0))
        takes = tape.facts()
        so_far = account(takes, self._window)
        return Progress(
            recorded=so_far.recorded,
            bytes=sum(take.size for take in takes),
            bit_rate=takes[-1].format.bit_rate if takes else None,
            title=tape.current_title or None,
            takes=so_far.takes,
            gaps=len(so_far.gaps),
            connected=tape.is_connected,
            speed=self._watch.pace.speed if self._watch is not None else None,
            stall=tape.stall.longest,
        )

    async def _record(self, tape: Tape) -> None:
        if not self._plan.begins_with_audio:
            ahead = connect_ahead(self._plan.session_id)
            await self._pause(Seconds(self._clock.until(self._window.opens) - ahead))
        while monotonic() < self._connects_until():
            error = await self._receive(self._attempts.url, tape)
            if error is None:
                break
            delay = self._failed(error, tape)
            if self._attempts.are_used_up or (self._attempts.are_hopeless and not tape.done):
                self._tell("gave_up", "No more attempts will be made.")
                break
            await self._wait_for_server(Seconds(min(delay, self._connects_until() - monotonic())), error)
        self._finish(tape)

    async def _receive(self, url: str, tape: Tape) -> SourceError | None:
        """Receive from `url` until the connection ends (then why) or the window is over (None)."""
        stream = self._plan.stream
        unverified = not stream.verify_tls and urlsplit(url).scheme in ("https", "rtmps")
        hint = ", without checking its certificate" if unverified else ""
        self._tell("connecting", f"Connecting to {mask(url)}{hint}.")
        self._watch = Watch(
            lambda: source_for(url, self._settings, verify_tls=stream.verify_tls, engine=stream.engine),
            url,
            tape,
            stall_timeout=Seconds(stream.stall_timeout),
            closes=self._closes_at,
            connects_until=self._connects_until,
        )
        try:
            return await self._watch.until_end()
        finally:
            self._watch = None

    def _failed(self, error: SourceError, tape: Tape) -> Seconds:
        """Close the take, tell what happened, and say how long to wait."""
        lasted = tape.lasted
        tape.close_take(error.message)
        delay = self._attempts.failed(error, lasted=lasted)
        self._tell("lost" if lasted else "failed", error.message)
        if not self._attempts.are_used_up:
            self._tell("retrying", f"Trying again in {delay:.0f} s." if delay else "Trying again at once.")
        return delay

    def _finish(self, tape: Tape) -> None:
        if self._stopped_at is not None:
            tape.close_take("Somebody stopped it.")
            tape.journal.write("stopped", self._clock.now())
            self._tell("stopped", "Somebody stopped the recording.")
        elif monotonic() >= self._closes_at():
            tape.close_take("The planned end was reached.")
            self._tell("closed", "The planned end was reached.")

    def _closes_at(self) -> float:
        """When to end, by the monotonic clock."""
        if self._stopped_at is not None:
            return self._stopped_at
        if not self._is_settled:
            self._settle()
        has_audio = self._tape is not None and self._tape.has_audio
        return self._clock.monotonic(self._window.closes if has_audio else self._plan.begins_until)

    def _connects_until(self) -> float:
        """Until when a connection is worth it: longer than the window is open, if the end of that is missing."""
        closes = self._closes_at()
        takes = self._tape.facts() if self._tape is not None else []
        is_whole = not takes or takes[-1].ends >= self._window.closes - timedelta(seconds=CLOCK)
        return closes if is_whole or self._stopped_at is not None else closes + LATE

    def _settle(self) -> None:
        """Move the window of a "record now" to the first audio, if that came soon."""
        takes = self._tape.facts() if self._tape is not None else []
        if not takes:
            return
        planned, begins = self._plan.window, takes[0].begins
        is_soon = planned.opens < begins <= planned.opens + SOON
        window = planned.moved_to(begins) if is_soon else planned
        if window != self._window:
            self._window = window
            self._note_window()
        self._is_settled = takes[0].duration > SETTLED and self._clock.until(begins) < -SETTLED

    def _note_window(self) -> None:
        if self._tape is not None:
            self._tape.journal.write("window", self._clock.now(), **window_fields(self._window))

    async def _wait_for_server(self, span: Seconds, error: SourceError) -> None:
        """Wait for `span`; where nobody listened, only until somebody does.

        What a server sends again gets less by the second. Looking is no attempt, and asks nothing of the server. After
        two minutes no server sends again what was missed.
        """
        parts = urlsplit(self._attempts.url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme.lower())
        until = monotonic() + span
        while (left := Seconds(until - monotonic())) > 0 and not self._stop_asked.is_set():
            is_worth_it = error.code in NOBODY_THERE and parts.scheme.lower() in HTTP and self._is_missed_lately()
            await self._pause(min(left, LOOK) if is_worth_it else left)
            if is_worth_it and await listens(parts.hostname or "", port or 0, self._settings.egress, within=LOOK):
                return

    def _is_missed_lately(self) -> bool:
        """Whether there was audio not long ago."""
        takes = self._tape.facts() if self._tape is not None else []
        return bool(takes) and self._clock.now() - takes[-1].ends < RESENT

    async def _pause(self, span: Seconds) -> None:
        """Wait, unless somebody stops it meanwhile."""
        if span > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(span):
                    await self._stop_asked.wait()

    def _tell(self, kind: str, message: str) -> None:
        self._on_event(CaptureEvent(self._clock.now(), kind, message))


def _too_late() -> SourceUnreachable:
    return SourceUnreachable("The window was over before anything could be recorded.", code="window_over")
