"""The form of a schedule: plain choices, a cron line, or one date; which of them counts, and what follows from it."""

import re
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from rolltape.domain.calendar import check_zone
from rolltape.domain.errors import InputError
from rolltape.domain.plain import (
    DATES,
    EVERY_DAY,
    INTERVALS,
    LAST,
    WEEKEND,
    WEEKS,
    WORKING_DAYS,
    Kind,
    Plain,
    from_cron,
    to_cron,
)
from rolltape.domain.schedule import Schedule, ScheduleFields
from rolltape.web.forms import Form, hours_and_minutes, or_none, split_length

KINDS = (
    (Kind.WEEKLY, "On days of the week"),
    (Kind.NTH, "On certain weekdays of the month"),
    (Kind.MONTHLY, "On dates of the month"),
    (Kind.HOURLY, "Every few hours"),
)
DAY_NAMES = tuple(enumerate(("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), start=1))
WEEK_NAMES = tuple(zip(WEEKS, ("First", "Second", "Third", "Fourth", "Fifth", "Last"), strict=True))
DATE_NAMES = tuple((date, "Last day" if date == LAST else str(date)) for date in DATES)
INTERVAL_NAMES = tuple((hours, "every hour" if hours == 1 else f"every {hours} hours") for hours in INTERVALS)
SHORTCUTS = {"every": EVERY_DAY, "working": WORKING_DAYS, "weekend": WEEKEND}
CHOICES = ("days", "weeks", "dates")  # an unchecked box sends nothing

_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::00(?:\.0+)?)?")


class Way(StrEnum):
    """What of the form counts."""

    PLAIN = "plain"
    CRON = "cron"
    DATE = "date"


def new(stream_id: int | None, zone: str) -> Form:
    """The form of a schedule that there is not yet: each day at eight in the evening, for an hour."""
    form = Form({"stream_id": stream_id, "timezone": zone, "enabled": "on", "priority": "0", "way": Way.PLAIN})
    form.values = {**form.values, **_plain_values(Plain(hour=20)), **split_length("duration", 3600)}
    return prepared(form)


def of(schedule: Schedule) -> Form:
    """The form as a schedule fills it."""
    values = ScheduleFields.model_validate(schedule).model_dump() | split_length("duration", schedule.duration)
    for name in ("start_early", "end_late"):
        values[name] = "" if values[name] is None else f"{values[name]:g}"
    values["enabled"] = "on" if schedule.enabled else ""
    if schedule.at is not None:
        values["at"] = schedule.at.astimezone(ZoneInfo(schedule.timezone)).replace(tzinfo=None).isoformat("T")
        values["way"] = Way.DATE
    else:
        values["way"] = Way.PLAIN if from_cron(schedule.cron or "") else Way.CRON
    plain = from_cron(schedule.cron or "") or Plain(hour=20)

    return prepared(Form(_plain_values(plain) | values))


def prepared(form: Form) -> Form:
    """The form with what a browser leaves out, and with one part of it following the other."""
    unsent = {
        "stream_id": "",
        "timezone": "",
        "kind": Kind.WEEKLY,
        "time": "",
        "minute": "0",
        "interval": "1",
        "cron": "",
        "at": "",
    }
    values = {**unsent, **{name: [] for name in CHOICES}, **form.values}
    form.values = values
    if way_of(form) is Way.PLAIN:
        with suppress(InputError):
            values["cron"] = to_cron(_plain(form))
    elif way_of(form) is Way.CRON and (plain := from_cron(form.text("cron"))):
        form.values = {**values, **_plain_values(plain)}

    return form


def way_of(form: Form) -> Way:
    return Way(form.text("way")) if form.text("way") in set(Way) else Way.PLAIN


def says_more(form: Form) -> bool:
    """Whether the cron line counts, and no plain choice says the same."""
    return way_of(form) is Way.CRON and from_cron(form.text("cron")) is None


def read(form: Form) -> ScheduleFields | None:
    """The schedule that was typed; None, and the sentences at their fields, where it cannot be taken."""
    when: dict[str, Any] = {}
    fields = None
    with form.checked():
        when = _when(form)
    with form.checked():
        if not form.text("stream_id"):
            raise InputError("stream_id", "Choose a stream.")
    with form.checked():
        check_zone(form.text("timezone").strip())
    with form.checked():
        fields = ScheduleFields(
            stream_id=form.text("stream_id") or 1,  # type: ignore[arg-type]  # Pydantic reads texts
            name=form.text("name"),
            timezone=form.text("timezone").strip(),
            duration=hours_and_minutes(form, "duration"),  # type: ignore[arg-type]
            enabled=form.is_on("enabled"),
            priority=form.text("priority").strip() or 0,  # type: ignore[arg-type]
            start_early=or_none(form.text("start_early")),  # type: ignore[arg-type]
            end_late=or_none(form.text("end_late")),  # type: ignore[arg-type]
            **when,
        )
    return fields if form.is_good else None


def _when(form: Form) -> dict[str, Any]:
    way = way_of(form)
    if way is Way.DATE:
        return {"at": _date(form.text("at"))}

    return {"cron": form.text("cron") if way is Way.CRON else to_cron(_plain(form))}


def _plain(form: Form) -> Plain:
    """The plain choice that was typed.

    Raises:
        InputError: something is no number, or cannot be chosen; its field is the name of the choice.
    """
    if form.text("kind") not in set(Kind):
        raise InputError("kind", "Choose how it comes again.")
    kind = Kind(form.text("kind"))
    if kind is Kind.HOURLY:
        interval, minute = (_number(name, form.text(name)) for name in ("interval", "minute"))
        return Plain(kind, interval=interval, minute=minute)
    days, weeks, dates = (frozenset(_number(name, text) for text in form.chosen(name)) for name in CHOICES)
    hour, minute = _time(form.text("time"))

    return Plain(kind, days, weeks, dates, hour=hour, minute=minute)


def _plain_values(plain: Plain) -> dict[str, Any]:
    """The fields of the form that say a plain choice; the others keep what they have."""
    if plain.kind is Kind.HOURLY:
        return {"kind": plain.kind, "interval": str(plain.interval), "minute": str(plain.minute)}
    counts = {Kind.WEEKLY: ("days",), Kind.NTH: ("days", "weeks"), Kind.MONTHLY: ("dates",)}[plain.kind]
    chosen = {name: sorted(getattr(plain, name)) for name in counts}

    return {"kind": plain.kind, "time": f"{plain.hour:02}:{plain.minute:02}", **chosen}


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.strip().isdigit() and len(text) < 5):
        raise InputError(name, "A whole number is needed.")
    return int(text)


def _time(text: str) -> tuple[int, int]:
    found = _TIME.fullmatch(text.strip())
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise InputError("time", "A time of the day is needed, like 09:30 or 20:00.")
    return int(found[1]), int(found[2])


def _date(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise InputError("at", "A date and a time are needed, like 2026-12-24 20:00.") from exc
