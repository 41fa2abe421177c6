"""The waveform of a recording as a picture, with what happened on it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rolltape.domain.session import Session

HEIGHT = 100  # units of the picture; its width is as many as there are points
MIDDLE = HEIGHT // 2


@dataclass(frozen=True)
class Mark:
    """Something at a place of the recording. `at` is in seconds, `x` the place in the picture."""

    at: float
    x: float
    label: str


def wave_path(peaks: bytes) -> str:
    """The path of an SVG, HEIGHT high: a line for each point, as high as it is loud. Silence is a line of its own."""
    heights = [max(1, peak * HEIGHT // 510) for peak in peaks]
    return "".join(f"M{x} {MIDDLE - half}v{2 * half}" for x, half in enumerate(heights))


def titles(session: Session, width: int) -> list[Mark]:
    """The titles of a recording, where they begin. An empty one tells where the one before ends."""
    found = (session.account or {}).get("titles", [])
    return [_mark(title["start"], title["title"], session, width) for title in found]


def gaps(session: Session, width: int) -> list[Mark]:
    """Where something is missing; it was cut out, so a gap has no width."""
    found: Sequence[Mapping[str, Any]] = session.gaps or []
    return [
        _mark(position, str(gap["cause"]), session, width)
        for gap, position in zip(found, _positions(found), strict=True)
    ]


def _positions(gaps: Iterable[Mapping[str, Any]]) -> list[float]:
    """Where each gap was cut out; of recordings that do not tell, as near as what they tell allows."""
    cut_out, positions = 0.0, []
    for gap in gaps:
        position = gap.get("position")
        positions.append(gap["start"] - cut_out if position is None else position)
        cut_out += gap["length"]
    return positions


def _mark(at: float, label: str, session: Session, width: int) -> Mark:
    share = at / session.duration if session.duration else 0.0
    return Mark(at, round(min(1.0, max(0.0, share)) * width, 1), label)
