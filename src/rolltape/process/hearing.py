"""What was heard while audio was decoded, kept so that what was heard of its pieces adds up to what is heard of it all.

A recording need not be decoded in one go at its end for that: its pieces are, while it is still being recorded.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from rolltape.domain.units import Seconds
from rolltape.process.loudness import blocks
from rolltape.process.waveform import FULL, levels

Span = tuple[Seconds, Seconds]  # from when to when

_TOUCHING = Seconds(0.001)  # two silences that are no further apart are one
_SOFTEST, _LOUDEST = -7000, 2000  # hundredths of a LUFS; full scale square waves on two channels are below +6 LUFS


@dataclass(frozen=True)
class Hearing:
    """What was heard. All moments are in seconds from the beginning of the audio.

    `silences` are in order and do not overlap; `levels` are the loudest samples of pieces of one length, 0 to 1.
    `blocks` says how many blocks of 400 ms were how loud, in hundredths of a LUFS (`process.loudness`).
    """

    duration: Seconds
    silences: tuple[Span, ...] = ()
    levels: tuple[float, ...] = ()
    blocks: Mapping[int, int] = field(default_factory=dict)

    @property
    def silent_share(self) -> float:
        """How much of it is silent, 0 to 1."""
        silent = sum(end - begin for begin, end in self.silences)
        return min(1.0, silent / self.duration) if self.duration > 0 else 0.0


def hearing(output: str) -> Hearing:
    """What was heard, from what FFmpeg printed while it decoded with the arguments of `encoding.judge_mp3()`."""
    duration = decoded_duration(output)
    return Hearing(duration, tuple(_silences(output, duration)), tuple(levels(output)), blocks(output))


def together(hearings: Iterable[Hearing]) -> Hearing:
    """What was heard of pieces that follow one another. The levels of all are of pieces of the same length.

    Of each piece, the three blocks of its loudness are missing that reach over its begin: of pieces of two minutes,
    one in four hundred.
    """
    duration = 0.0
    silences: list[Span] = []
    loudest: list[float] = []
    counts: Counter[int] = Counter()
    for heard in hearings:
        for begin, end in heard.silences:
            begin, end = Seconds(duration + begin), Seconds(duration + end)
            if silences and begin - silences[-1][1] <= _TOUCHING:
                begin = silences.pop()[0]
            silences.append((begin, end))
        loudest += heard.levels
        counts.update(heard.blocks)
        duration += heard.duration
    return Hearing(Seconds(duration), tuple(silences), tuple(loudest), counts)


def to_json(heard: Hearing) -> str:
    """One line. Levels are rounded to the bytes of a waveform."""
    coarse = bytes(round(FULL * min(1.0, level)) for level in heard.levels)
    fields = {"duration": heard.duration, "silences": heard.silences, "levels": coarse.hex()}
    return json.dumps({**fields, "blocks": dict(heard.blocks)})


def from_json(line: str) -> Hearing:
    """Raises ValueError where it does not read as what `to_json()` wrote."""
    try:
        fields = json.loads(line)
        duration = float(fields["duration"])
        silences = tuple((Seconds(float(begin)), Seconds(float(end))) for begin, end in fields["silences"])
        loudest = tuple(level / FULL for level in bytes.fromhex(fields["levels"]))
        counts = {int(step): int(count) for step, count in fields["blocks"].items()}
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
        raise ValueError("not what was heard of something") from exc
    moments = [0.0, *(moment for span in silences for moment in span), duration]
    if not all(before <= after for before, after in pairwise(moments)) or not duration < float("inf"):
        raise ValueError("moments that are not in order")
    if not all(_SOFTEST <= step <= _LOUDEST and count > 0 for step, count in counts.items()):
        raise ValueError("no count of blocks")
    return Hearing(Seconds(duration), silences, loudest, counts)


def decoded_duration(output: str) -> Seconds:
    """How much was decoded, from what `-progress` printed; 0 if nothing was."""
    found = Seconds(0)
    for line in output.splitlines():
        name, _, value = line.partition("=")
        if name == "out_time_us" and value.lstrip("-").isdigit():
            found = Seconds(int(value) / 1_000_000)
    return found


def _silences(output: str, duration: Seconds) -> Iterable[Span]:
    """Where it is silent, from what silencedetect printed. A silence that lasts to the end has no end."""
    start: float | None = None
    for line in output.splitlines():
        name, _, value = line.partition("=")
        if name == "lavfi.silence_start":
            start = max(0.0, float(value))
        elif name == "lavfi.silence_end" and start is not None:
            yield Seconds(min(start, duration)), Seconds(min(float(value), duration))
            start = None
    if start is not None and start < duration:
        yield Seconds(start), duration
