"""A recording: the finished MP3 of a session, and the account of every second of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from rolltape.domain.take import TakeFacts
from rolltape.domain.units import Seconds

GAP = Seconds(0.1)  # what is missing for longer inside a recording is a gap, and what is shorter is not worth a seam
PUNCTUAL = Seconds(1)  # audio that begins or ends within this of the plan is on time
SILENT_SHARE = 0.9  # of the audio; from there on the recording is silent
CLOCK = Seconds(0.3)  # how far our clock may place audio wrongly; takes that overlap by no more are joined as they came
NOTICED = Seconds(2)  # a silence that lasts as long is noticed; speech and the gaps between songs are silent for less
MOST_SILENCES = 500  # in the map of a recording: the longest ones
RESENT = timedelta(minutes=2)  # the most a server sends again; who connects gets seconds, and of HLS a few segments


class Verdict(StrEnum):
    """How a session went; where several hold, the first of these is the verdict."""

    SILENT = "silent"
    SHORT = "short"
    LATE = "late"
    GAPPED = "gapped"
    COMPLETE = "complete"


@dataclass(frozen=True)
class Gap:
    """Missing audio. `start` is counted from the start of the recording window, `position` is where it was cut out.

    `position` counts from the start of the recording's audio; all in seconds.
    """

    start: Seconds
    length: Seconds
    cause: str
    position: Seconds


@dataclass(frozen=True)
class Silence:
    """A stretch of audio below -60 dBFS. `start` counts from the start of the recording's audio; in seconds."""

    start: Seconds
    length: Seconds


@dataclass(frozen=True)
class Cut:
    """The part of a take that belongs into the recording: `length` seconds after its first `skip` seconds."""

    take: TakeFacts
    skip: Seconds
    length: Seconds

    @property
    def begins(self) -> datetime:
        return self.take.begins + timedelta(seconds=self.skip)

    @property
    def ends(self) -> datetime:
        return self.begins + timedelta(seconds=self.length)


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

    `late` and `short` are how much is missing at the planned start and end (of an early start or late end only the
    coverage tells). `longest_stall` is the longest time for which no audio came while there was or was to be a
    connection; None: not known. `silent_share` is the share of the audio below -60 dBFS, `silences` where it is for
    long, `loudness` that of the whole in LUFS, `peak` its loudest sample, 0 to 1; all None before they were measured,
    and `loudness` also of silence.
    """

    cuts: tuple[Cut, ...]
    gaps: tuple[Gap, ...]
    planned: Seconds
    recorded: Seconds
    late: Seconds
    short: Seconds
    takes: int
    longest_stall: Seconds | None = None
    silent_share: float | None = None
    silences: tuple[Silence, ...] | None = None
    loudness: float | None = None
    peak: float | None = None

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

    def with_sound(
        self,
        silent_share: float,
        silences: tuple[Silence, ...] = (),
        *,
        loudness: float | None = None,
        peak: float | None = None,
    ) -> "Account":
        return replace(self, silent_share=silent_share, silences=silences, loudness=loudness, peak=peak)

    def with_longest_stall(self, length: Seconds | None) -> "Account":
        return replace(self, longest_stall=length)


def silence_map(silences: Iterable[Silence]) -> tuple[Silence, ...]:
    """Those of them that are noticed, in their order; the longest ones if they are too many."""
    noticed = [silence for silence in silences if silence.length >= NOTICED]
    longest = sorted(noticed, key=lambda silence: silence.length, reverse=True)[:MOST_SILENCES]
    return tuple(sorted(longest, key=lambda silence: silence.start))


def account(takes: Sequence[TakeFacts], window: Window) -> Account:
    """Lay the takes, in the order of their recording, on the clock: what belongs into the recording, what is missing.

    Where two takes overlap (a server resends its last seconds) the later one begins where the earlier one ended.
    Without audio, all of the planned time is `late`.
    """
    cuts: list[Cut] = []
    gaps: list[Gap] = []
    reached = window.opens
    for take in _on_one_clock(takes):
        begins, ends = max(take.begins, reached), min(take.ends, window.closes)
        if _seconds(ends - begins) < GAP:
            continue
        missing = _seconds(take.begins - reached)
        if cuts and missing > GAP:
            position = Seconds(sum(cut.length for cut in cuts))
            gaps.append(Gap(_seconds(reached - window.opens), missing, cuts[-1].take.ended_by, position))
        if cuts and missing >= -CLOCK:
            begins = take.begins
        cuts.append(Cut(take, _seconds(begins - take.begins), _seconds(ends - begins)))
        reached = ends

    return Account(
        cuts=tuple(cuts),
        gaps=tuple(gaps),
        planned=window.length,
        recorded=Seconds(sum(cut.length for cut in cuts)),
        late=_missing(window.start, cuts[0].begins if cuts else window.end),
        short=_missing(reached, window.end) if cuts else Seconds(0),
        takes=sum(cut.take.connections for cut in cuts),
    )


def _on_one_clock(takes: Sequence[TakeFacts]) -> Iterator[TakeFacts]:
    """The takes, those behind the ones before them that a clock set back has put in front.

    A machine without a battery-backed clock is in the past when it comes back from a power cut. Its takes were
    recorded all the same, so they are laid on the end of what there was, and none of it is lost.
    """
    reached: datetime | None = None
    set_back = timedelta()
    for take in takes:
        begins = take.begins
        if reached is not None and begins + RESENT < reached:
            if begins + set_back + RESENT < reached:
                set_back = reached - begins
            begins += set_back
        placed = replace(take, begins=begins)
        reached = placed.ends if reached is None else max(reached, placed.ends)
        yield placed


def _missing(planned: datetime, found: datetime) -> Seconds:
    return Seconds(max(0.0, _seconds(found - planned)))


def _seconds(span: timedelta) -> Seconds:
    return Seconds(span.total_seconds())
