"""Pages: templates, and how they say times, lengths and sizes."""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from math import log10
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rolltape import __version__
from rolltape.domain.address import mask
from rolltape.domain.advice import advice, verdict_words
from rolltape.domain.calendar import check_zone
from rolltape.domain.errors import InputError
from rolltape.domain.session import Session
from rolltape.domain.units import DAY, HOUR, MINUTE
from rolltape.services.lost import words
from rolltape.web.words import called, sentence

STATIC = Path(__file__).parent / "static"
REAL_TIME = 0.02  # of the speed; what is nearer to it plays as it should
ZONE_COOKIE = "rolltape_zone"  # the reader's time zone; the browser tells it

# What a redirect says on the page it leads to. The address carries the name only.
NOTES = {
    "saved": "Saved.",
    "searching": "Recordings are being looked for. What is found appears among the sessions.",
    "deleted": "Deleted.",
    "started": "The recording begins now.",
    "stopped": "Stopped. What was recorded is being finished.",
    "cancelled": "Cancelled.",
    "retried": "It is being tried again.",
    "enabled": "Enabled.",
    "disabled": "Disabled. Nothing is recorded until it is enabled again.",
    "skipped": "This one is left out.",
    "unskipped": "This one will be recorded after all.",
    "cover": "The cover was changed.",
    "going": "They are being deleted. From now on the rule works by itself.",
    "imported": "Everything is as the document says.",
    "accepted": "The server's key is accepted.",
    "welcome": "Welcome. Everything is set up.",
    "signed-out": "Signed out.",
    "ended": "That browser is signed out.",
    "backup-made": "The backup is made.",
    "backup-received": "The backup has arrived and is sound. This is what it would change.",
    "backup-sound": "The backup was read from its begin to its end: it is sound and can be restored here.",
    "password": "The password is changed. All other browsers are signed out.",
}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """The page that `template` makes of `context`, for the reader of this request."""
    base_path: str = request.state.base_path

    def url(path: str, **query: object) -> str:
        asked = urlencode({name: value for name, value in query.items() if value not in (None, "")})
        return f"{base_path}{path}{'?' + asked if asked else ''}"

    known = {
        "url": url,
        "static": lambda name: f"{base_path}/static/{fingerprint()}/{name}",
        "path": request.url.path,
        "query": dict(request.query_params),
        "user": getattr(request.state, "user", None),
        "note": NOTES.get(request.query_params.get("note", "")),
        "reader_zone": reader_zone(request),
        "moment": Moments(reader_zone(request)).moment,
        "now": datetime.now(UTC),
        "news": request.state.news,
        "version": __version__,
        "loss": request.state.services.recovery.told,
    }
    # What a browser may not keep it cannot show on the way back, if it is the answer to a form.
    headers = {"Cache-Control": "private, no-cache"} if status == 422 else None
    return HTMLResponse(_templates.get_template(template).render(known | context), status, headers)


def redirect(request: Request, path: str, *, note: str = "") -> RedirectResponse:
    """Leads to `path` after a form did its work; `note` is one of NOTES."""
    asked = f"{'&' if '?' in path else '?'}note={note}" if note else ""
    return RedirectResponse(f"{request.state.base_path}{path}{asked}", 303)


def reader_zone(request: Request) -> str:
    """The time zone of whoever reads, as the browser told it; the service's where it did not."""
    zone = unquote(request.cookies.get(ZONE_COOKIE, ""))
    try:
        check_zone(zone)
    except InputError:
        return str(request.state.services.sessions.timezone)
    return zone


@cache
def fingerprint() -> str:
    """Names the present state of all static files. It is in their addresses, so browsers may keep them for ever."""
    digest = hashlib.sha256()
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(STATIC)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


class Moments:
    """Says moments in a zone, and beside it in the reader's where that is another time."""

    def __init__(self, reader_zone: str) -> None:
        self._reader = ZoneInfo(reader_zone)

    def moment(self, at: datetime | None, zone: str | None = None, *, style: str = "full") -> Markup:
        """`at` in `zone` (the reader's by default). Styles: full, date, time, second."""
        if at is None:
            return Markup("—")
        form = {"full": "%a %-d %b %Y, %H:%M", "date": "%a %-d %b %Y", "time": "%H:%M", "second": "%H:%M:%S"}[style]
        local = at.astimezone(ZoneInfo(zone) if zone else self._reader)
        shown = Markup('<time datetime="{}">{}</time>').format(at.astimezone(UTC).isoformat(), local.strftime(form))
        own = at.astimezone(self._reader)
        if local.utcoffset() == own.utcoffset() or style == "date":
            return shown
        there = own.strftime("%H:%M" if own.date() == local.date() else "%a %H:%M")
        return Markup('{} <span class="mut">({} your time)</span>').format(shown, there)


def lasting(seconds: float | None) -> str:
    """A span of time in words: "2 h 5 min", "30 s", "1 d 4 h"."""
    if seconds is None:
        return "—"
    if 0 < seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    left = round(seconds)
    parts = []
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")):
        count, left = divmod(left, int(unit))
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def hours(seconds: float) -> str:
    """A long span of time, coarsely: "12 h", "340 h", "45 d"."""
    count = seconds / HOUR
    return f"{count:.1f} h" if count < 10 else f"{count:.0f} h" if count < 1000 else f"{count / 24:,.0f} d"


def counter(seconds: float | None) -> str:
    """A position in audio: 1:02:03."""
    whole = max(0, int(seconds or 0))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def size(count: float | None) -> str:
    """A number of bytes: 58 MB, 12.4 GB."""
    if count is None:
        return "—"
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(count) < 1000 or (unit == "GB" and count < 1_000_000):
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def bit_rate(bits: float | None) -> str:
    """A rate of audio: 128 kbit/s."""
    return f"{bits / 1000:.0f} kbit/s" if bits else "—"


def percent(share: float | None) -> str:
    """A share, never rounded up to all of it: 99.9 %."""
    if share is None:
        return "—"
    return "100 %" if share >= 1 else f"{int(share * 1000) / 10:g} %"


def played(speed: float) -> str:
    """How fast audio comes, against how fast it plays."""
    if abs(speed - 1) < REAL_TIME:
        return "The audio comes as fast as it plays."
    return f"The audio comes at {speed:.0%} of the speed that it plays at.".replace("%", " %")


def loudness(value: float) -> str:
    """Like "−23.0 LUFS"."""
    return f"{value:.1f} LUFS".replace("-", "−")


def decibels(peak: float) -> str:
    """A sample, 0 to 1, like "−1.2 dBFS"."""
    return f"{20 * log10(peak):.1f} dBFS".replace("-0.0", "0.0").replace("-", "−")


def distance(at: datetime, now: datetime) -> str:
    """How far off a moment is: "in 1 h 19 min", "3 d ago"."""
    away = at - now
    if abs(away) < timedelta(seconds=1):
        return "now"
    coarse = round(away.total_seconds() / 60) * 60 if abs(away) >= timedelta(hours=1) else away.total_seconds()
    return f"in {lasting(round(coarse))}" if coarse > 0 else f"{lasting(round(-coarse))} ago"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 gap", "3 gaps"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def advised(code: str | None) -> str:
    """What an error code means and what to do about it; nothing where there is none."""
    return advice(code) if code else ""


def what_to_do(session: Session) -> str:
    """What to do about a session that did not go well."""
    if session.error_code:
        return advice(session.error_code)
    return verdict_words(session.verdict) if session.verdict else ""


_templates.filters |= {
    "advised": advised,
    "called": called,
    "sentence": sentence,
    "meaning": verdict_words,
    "what_to_do": what_to_do,
    "told": words,
    "lasting": lasting,
    "hours": hours,
    "counter": counter,
    "size": size,
    "bit_rate": bit_rate,
    "percent": percent,
    "played": played,
    "loudness": loudness,
    "decibels": decibels,
    "distance": distance,
    "plural": plural,
    "masked": mask,
}
