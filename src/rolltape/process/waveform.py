"""The waveform of a recording, from what FFmpeg tells while it decodes the whole of it anyway."""

from collections.abc import Sequence
from itertools import pairwise
from math import isnan

from rolltape.domain.units import Seconds
from rolltape.domain.waveform import POINTS

FULL = 255  # the byte of the loudest sample there can be
SHORTEST_PIECE = 64  # samples; a low tone swings no slower

_LEVEL = "lavfi.astats.Overall.Peak_level="
_PIECES = 4 * POINTS  # are measured, so that every point has some of its own, at the lowest sample rate too
_HIGHEST_RATE = 48000  # Hz


def piece_length(duration: Seconds) -> int:
    """How many samples to measure together in a recording of about this length.

    The number of pieces, and so of FFmpeg's lines about them, is the same for a minute and for a week.
    """
    return max(SHORTEST_PIECE, round(duration * _HIGHEST_RATE / _PIECES))


def levels(output: str) -> list[float]:
    """The loudest sample of each piece, 0 to 1, from what FFmpeg printed. What does not read counts as silence."""
    return [_level(line.removeprefix(_LEVEL)) for line in output.splitlines() if line.startswith(_LEVEL)]


def peaks(pieces: Sequence[float]) -> bytes:
    """POINTS bytes for the loudness of all these pieces; b"" where there are none. Fewer pieces are repeated."""
    count = len(pieces)
    if not count:
        return b""
    borders = [point * count // POINTS for point in range(POINTS + 1)]
    parts = (pieces[begin : max(begin + 1, end)] for begin, end in pairwise(borders))
    return bytes(round(FULL * min(1.0, max(part))) for part in parts)


def _level(text: str) -> float:
    """A level in dBFS ("-inf" for digital silence) as a share of the loudest there can be."""
    try:
        decibels = float(text)
    except ValueError:
        return 0.0
    return 0.0 if isnan(decibels) else 10 ** (min(decibels, 0.0) / 20)
