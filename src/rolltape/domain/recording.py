"""A recording: the finished MP3 of a session, and the account of every second of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from rolltape.domain.take import TakeFacts
from rolltape.domain.units import Seconds

GAP = Seconds(0.1)  # what is missing for longer inside a recording is a gap
PUNCTUAL = Seconds(1)  # audio that begins or ends within this of the plan is on time
SILENT_SHARE = 0.9  # of the audio; above it the recording is silent
CLOCK = Seconds(0.3)  # how far our clock may place audio wrongly; a seam within it is no gap and nothing is cut there


class Verdict(StrEnum):
    """How a session went; where several hold, the first of these is the verdict."""

    SILENT = "silent"
    SHORT = "short"
    LATE = "late"
    GAPPED = "gapped"
    COMPLETE = "complete"


@dataclass(frozen=True)
class Gap:
    """Missing audio. `start` is counted from the start of the recording window; both in seconds."""

    start: Seconds
    length: Seconds
    cause: str


@dataclass(frozen=True)
class Cut:
    """The part of a take that belongs into the recording: `length` seconds after its first `skip` seconds."""

    take: TakeFacts
    skip: Seconds
    length: Seconds


@dataclass(frozen=True)
class Window:
    """What was to be recorded. Between `opens` and `start` lies the early start, after `end` the late end."""

    opens: datetime
    start: datetime
    end: datetime
    closes: datetime

    @property
    def length(self) -> Seconds:
        return Seconds((self.closes - self.opens).total_seconds())

    def moved_to(self, opens: datetime) -> "Window":
        """The same window, opening at another moment."""
        by = opens - self.opens
        return Window(self.opens + by, self.start + by, self.end + by, self.closes + by)


@dataclass(frozen=True)
class Account:
    """What became of a session's window. Lengths are in seconds.

    `late` and `short` are how much is missing at the planned start and end; `silent_share` is the share of the audio
    below -60 dBFS, None before it was measured.
    """

    cuts: tuple[Cut, ...]
    gaps: tuple[Gap, ...]
    planned: Seconds
    recorded: Seconds
    late: Seconds
    short: Seconds
    takes: int
    silent_share: float | None = None

    @property
    def coverage(self) -> float:
        """Recorded ÷ planned, 0 to 1."""
        return min(1.0, self.recorded / self.planned) if self.planned > 0 else 0.0

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All that hold, the one that counts first; none where there is no audio."""
        if not self.cuts:
            return ()
        found = {
            Verdict.SILENT: (self.silent_share or 0) >= SILENT_SHARE,
            Verdict.SHORT: self.short > PUNCTUAL,
            Verdict.LATE: self.late > PUNCTUAL,
            Verdict.GAPPED: bool(self.gaps),
        }
        return tuple(verdict for verdict, holds in found.items() if holds) or (Verdict.COMPLETE,)

    @property
    def verdict(self) -> Verdict | None:
        return self.verdicts[0] if self.cuts else None

    def with_silence(self, share: float) -> "Account":
        return replace(self, silent_share=share)


def account(takes: Sequence[TakeFacts], window: Window) -> Account:
    """Lay the takes on the clock: what of each belongs into the recording, and what is missing.

    Where two takes overlap (a server resends its last seconds) the later one begins where the earlier one ended.
    """
    cuts: list[Cut] = []
    gaps: list[Gap] = []
    reached = window.opens
    before: TakeFacts | None = None
    for take in takes:
        missing = _seconds(take.begins - reached)
        if before is None or missing > CLOCK:
            skip = max(0.0, -missing)
        else:
            # The clock is good to a few tenths of a second: what lies within is joined as it came.
            skip = -missing if missing < -CLOCK else 0.0
        begins = take.begins + timedelta(seconds=skip)
        ends = min(take.ends, window.closes)
        length = _seconds(ends - begins)
        if length <= 0:
            continue
        if before is not None and missing > CLOCK:
            gaps.append(Gap(_seconds(reached - window.opens), missing, before.ended_by))
        cuts.append(Cut(take, Seconds(skip), length))
        reached = max(reached, ends)
        before = take

    first = cuts[0].take.begins + timedelta(seconds=cuts[0].skip) if cuts else window.closes
    return Account(
        cuts=tuple(cuts),
        gaps=tuple(gaps),
        planned=window.length,
        recorded=Seconds(sum(cut.length for cut in cuts)),
        late=Seconds(max(0.0, _seconds(first - window.start))),
        short=Seconds(max(0.0, _seconds(window.end - reached))),
        takes=len(cuts),
    )


def _seconds(span: timedelta) -> Seconds:
    return Seconds(span.total_seconds())
