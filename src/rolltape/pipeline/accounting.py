"""The account of a finished recording: as it is kept, as it is told, and as it goes into the file."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from rolltape.domain.recording import Account, Verdict
from rolltape.domain.titles import Mark
from rolltape.domain.units import Seconds
from rolltape.domain.words import of_span
from rolltape.tag import Measured

_WORDS = {
    Verdict.COMPLETE: "Complete",
    Verdict.GAPPED: "With gaps",
    Verdict.LATE: "Began late",
    Verdict.SHORT: "Too short",
    Verdict.SILENT: "Silent",
}


def kept(found: Account, titles: Sequence[Mark]) -> dict[str, Any]:
    """The account as the database, the API and the facts beside the recording have it. Lengths are in seconds."""
    last = found.cuts[-1]
    return {
        "verdicts": list(found.verdicts),
        "planned": found.planned,
        "recorded": found.recorded,
        "late": found.late,
        "short": found.short,
        "longest_stall": found.longest_stall,
        "silent_share": found.silent_share,
        "silences": [asdict(silence) for silence in found.silences or ()],
        "loudness": _rounded(found.loudness, 2),
        "peak": _rounded(found.peak, 4),
        "titles": [asdict(mark) for mark in titles],
        "ends": (last.take.begins + timedelta(seconds=last.skip + last.length)).isoformat(),
    }


def told(found: Account) -> str:
    """The account in a sentence: "With gaps: 99.2 % of the planned time, 2 gaps of 12.5 s together, 3 connections."."""
    assert found.verdict is not None
    missing = Seconds(sum(gap.length for gap in found.gaps))
    parts = [
        f"{_percent(found.coverage)} of the planned time",
        f"{_counted(len(found.gaps), 'gap')} of {_span(missing)}" if found.gaps else "no gap",
        f"{_span(found.late)} late" if found.late > 0.1 else "",
        f"{_span(found.short)} missing at the end" if found.short > 0.1 else "",
        _counted(found.takes, "connection"),
        f"no audio for {_span(found.longest_stall)} at the longest" if found.longest_stall else "",
        _counted(len(found.silences), "longer silence") if found.silences else "",
        f"{found.loudness:.1f} LUFS" if found.loudness is not None else "",
    ]
    return f"{_WORDS[found.verdict]}: {', '.join(part for part in parts if part)}."


def measured(found: Account) -> Measured:
    """What of it goes into the tag of the recording."""
    return Measured(
        gaps=len(found.gaps),
        missing=Seconds(sum(gap.length for gap in found.gaps)),
        late=found.late,
        short=found.short,
        takes=found.takes,
        longest_stall=found.longest_stall,
        silent_share=found.silent_share,
        loudness=_rounded(found.loudness, 2),
        peak=_rounded(found.peak, 4),
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _percent(share: float) -> str:
    """Never rounded up to all of it."""
    return "100 %" if share >= 1 else f"{int(share * 1000) / 10:g} %"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _span(seconds: Seconds) -> str:
    return of_span(seconds) if seconds >= 60 else f"{seconds:.1f} s"
