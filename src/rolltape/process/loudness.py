"""The loudness of a recording, from what FFmpeg tells while it decodes the whole of it anyway.

FFmpeg weights the sound like an ear and says every 100 ms how loud the last 400 ms were. Those blocks are only counted
here, by their loudness, so that the counts of pieces of a recording add up to those of all of it.

Sources: ITU-R BS.1770-4, annex 1 (blocks and gates); EBU R 128.
"""

from collections import Counter
from collections.abc import Mapping
from math import isfinite, log10

SILENT = -70.0  # LUFS; what is below is not counted (the absolute gate of BS.1770)
QUIET = 10.0  # LU below the mean: what is, does not count either (the relative gate)
STEP = 0.01  # LU; blocks are told apart this finely

_MOMENT = "lavfi.r128.M="


def blocks(output: str) -> Counter[int]:
    """How many blocks there were of each loudness, in hundredths of a LUFS. Silent ones are left out."""
    found: Counter[int] = Counter()
    for line in output.splitlines():
        if line.startswith(_MOMENT):
            loudness = _number(line.removeprefix(_MOMENT))
            if isfinite(loudness) and loudness >= SILENT:
                found[round(loudness / STEP)] += 1
    return found


def integrated(counts: Mapping[int, int]) -> float | None:
    """The loudness of all these blocks together in LUFS, None where there is no sound."""
    if not counts:
        return None
    gate = _mean(counts) - QUIET
    return _mean({step: count for step, count in counts.items() if step * STEP >= gate})


def _mean(counts: Mapping[int, int]) -> float:
    """The loudness of the mean power."""
    power = sum(count * 10 ** (step * STEP / 10) for step, count in counts.items())
    return 10 * log10(power / sum(counts.values()))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
