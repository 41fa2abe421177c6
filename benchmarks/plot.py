"""A plot as SVG: panels above one another, with one axis of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 130  # of a panel, in pixels
LEFT, TOP, BELOW = 60, 34, 26
GAP = 3.0  # times the usual distance between two points: then the line is broken
COLOURS = ("#b3261e", "#b26a00", "#00639b", "#386a20")


@dataclass(frozen=True)
class Panel:
    """One line; `at` and `values` are of the same length."""

    name: str
    at: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class Mark:
    """Something that happened."""

    at: float
    name: str


def draw(panels: Sequence[Panel], marks: Sequence[Mark], unit: str) -> str:
    """All panels; `unit` is that of the time."""
    last = max(panel.at[-1] for panel in panels) or 1.0
    names = list(dict.fromkeys(mark.name for mark in marks))
    colours = dict(zip(names, COLOURS, strict=False))
    total = TOP + len(panels) * (HEIGHT + BELOW) + 20
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}" height="{total}" '
        f'viewBox="0 0 {LEFT + WIDTH + 20} {total}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, name in enumerate(names):
        left = LEFT + number * 130
        lines.append(
            f'<line x1="{left}" y1="16" x2="{left + 16}" y2="16" stroke="{colours[name]}" stroke-dasharray="3 2"/>'
        )
        lines.append(f'<text x="{left + 22}" y="20">{escape(name)}</text>')
    for number, panel in enumerate(panels):
        top = TOP + number * (HEIGHT + BELOW)
        lines += _panel(panel, marks, colours, top, last)
    for minute in _ticks(last):
        x = LEFT + WIDTH * minute / last
        lines.append(f'<text x="{x:.0f}" y="{total - 24}" text-anchor="middle">{minute:g}</text>')
    lines.append(f'<text x="{LEFT + WIDTH}" y="{total - 6}" text-anchor="end">{escape(unit)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel, marks: Sequence[Mark], colours: dict[str, str], top: float, last: float) -> Iterator[str]:
    most = 1.2 * max(panel.values) or 1.0  # room for the name
    yield f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>'
    yield f'<text x="{LEFT + 6}" y="{top + 16}">{escape(panel.name)}</text>'
    yield f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most:.0f}</text>'
    yield f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>'
    for mark in marks:
        x = LEFT + WIDTH * mark.at / last
        colour = colours.get(mark.name, "#777")
        place = f'x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + HEIGHT}"'
        yield f'<line {place} stroke="{colour}" stroke-dasharray="3 2"/>'
    for points in _unbroken(panel):
        path = " ".join(
            f"{LEFT + WIDTH * at / last:.1f},{top + HEIGHT * (1 - value / most):.1f}" for at, value in points
        )
        yield f'<polyline points="{path}" fill="none" stroke="#222" stroke-width="1.2"/>'


def _unbroken(panel: Panel) -> Iterator[list[tuple[float, float]]]:
    """The points, apart where there are none for a while."""
    steps = sorted(after - before for before, after in zip(panel.at, panel.at[1:], strict=False))
    longest = GAP * steps[len(steps) // 2] if steps else 0.0
    points: list[tuple[float, float]] = []
    for at, value in zip(panel.at, panel.values, strict=True):
        if points and at - points[-1][0] > longest:
            yield points
            points = []
        points.append((at, value))
    yield points


def _ticks(last: float) -> list[float]:
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 60, 120, 600) if last / step <= 12)
    return [number * step for number in range(int(last / step) + 1)]
