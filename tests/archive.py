"""An archive that has been running for a while: streams, schedules, sessions and what became of them."""

import itertools
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import create_engine, insert

from rolltape.domain import schedule, session, stream, transfer, waveform  # noqa: F401 (the tables)
from rolltape.domain.base import Base
from rolltape.domain.destination import DestinationFields
from rolltape.domain.schedule import ScheduleFields
from rolltape.domain.stream import StreamFields

STATIONS = (
    "Harbour FM", "Radio Nord", "Kulturwelle 2", "Canal Ópera", "Jazz Lighthouse", "Radio Étoile", "Campus 97",
    "Classic Garden", "Die Nachtschiene", "Folk on the Hill", "Radio Marittima", "Open Mic Radio",
)  # fmt: skip
SHOWS = (
    "Morning Magazine", "Jazz at Nine", "Night Concert", "World News Hour", "The Garden Show", "Blue Hour",
    "Science Weekly", "Radio Play", "New Releases", "Sunday Organ", "Dance Floor", "Long Talk",
)  # fmt: skip
TITLES = ("Opening", "Prelude in E minor", "News at the hour", "Blue Train Home", "Weather", "Closing")
RULES = ("0 9 * * 1-5", "30 20 * * 2", "0 22 * * *", "15 6 * * 6,0", "0 18 * * 1#1", "45 12 * * 3,5")
ENDS = (  # how sessions end, and how often in a thousand
    ("done", "complete", None, None, 925),
    ("done", "gapped", None, None, 30),
    ("done", "late", None, None, 10),
    ("done", "short", None, None, 8),
    ("done", "silent", None, None, 2),
    ("failed", None, "source_unreachable", "radio.example: no answer within 20 s.", 10),
    ("missed", None, "service_down", "The service was not running when it was due, and its time has passed.", 5),
    ("cancelled", None, None, None, 5),
    ("skipped", None, None, None, 5),
)
RATE = 16_000  # bytes of audio in a second
HOUR = 3600.0
GAP = 12.5  # s


def fill(
    url: str, *, streams: int, schedules: int, sessions: int, now: datetime | None = None, quiet_hours: int = 1
) -> None:
    """Write such an archive into the database at `url`, which has the present schema and is empty.

    Nothing of it is due within `quiet_hours` around now: a service started on it has nothing to connect to.
    """
    now = (now or datetime.now(UTC)).replace(microsecond=0)
    dice = random.Random(7)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    tables = Base.metadata.tables
    with engine.begin() as db:
        db.execute(insert(tables["destinations"]), [_destination(now)])
        db.execute(insert(tables["streams"]), [_stream(number, now) for number in range(1, streams + 1)])
        rows = [_schedule(number, streams, now, quiet_hours) for number in range(1, schedules + 1)]
        if rows:
            db.execute(insert(tables["schedules"]), rows)
        past = _sessions(sessions, streams, schedules, now - timedelta(hours=3), dice)
        while batch := list(itertools.islice(past, 5000)):
            db.execute(insert(tables["sessions"]), batch)
            db.execute(insert(tables["events"]), [event for row in batch for event in _events(row)])
            sent = [_transfer(row) for row in batch if row["sha256"]]
            if sent:
                db.execute(insert(tables["transfers"]), sent)
            heard = [{"session_id": row["id"], "peaks": _peaks(dice)} for row in batch[-50:] if row["sha256"]]
            if heard:
                db.execute(insert(tables["waveforms"]), heard)
    engine.dispose()


def _destination(now: datetime) -> dict[str, Any]:
    fields = DestinationFields(name="NAS", host="nas.lan", user="radio", key_file="id", directory="recordings")
    key = {"host_key_type": "ssh-ed25519", "host_key": "AAAA", "host_key_fingerprint": f"SHA256:{'x' * 43}"}
    return fields.model_dump() | key | {"id": 1, "created_at": now}


def _stream(number: int, now: datetime) -> dict[str, Any]:
    name, copies = STATIONS[(number - 1) % len(STATIONS)], (number - 1) // len(STATIONS)
    fields = StreamFields(
        name=f"{name} {copies + 1}" if copies else name,
        url=f"http://radio{number}.example/live.mp3",
        genre=("News", "Jazz", "Classical", "Culture")[number % 4],
        destination_ids=[1],
    )
    return fields.model_dump() | {"id": number, "artwork": None, "created_at": now - timedelta(days=400)}


def _schedule(number: int, streams: int, now: datetime, quiet_hours: int) -> dict[str, Any]:
    rule = RULES[(number + number // len(SHOWS)) % len(RULES)].split()
    away = (int(rule[1]) - now.hour) % 24
    if min(away, 24 - away) <= quiet_hours:
        rule[1] = str((now.hour + 3 + number % 12) % 24)
    fields = ScheduleFields(
        stream_id=1 + number % streams,
        name=SHOWS[(number + number // len(SHOWS)) % len(SHOWS)],
        cron=" ".join(rule),
        timezone="UTC" if number % 3 else "Europe/Berlin",
        duration=(1, 2, 0.5, 3)[number % 4] * HOUR,
        enabled=number % 10 != 0,
    )
    moments = {"planned_until": now, "created_at": now - timedelta(days=400)}
    return fields.model_dump() | {"id": number, "at": None} | moments


def _sessions(
    count: int, streams: int, schedules: int, newest: datetime, dice: random.Random
) -> Iterator[dict[str, Any]]:
    """Past sessions, the oldest first, some thirty a day."""
    ends = [end[:4] for end in ENDS]
    weights = [end[4] for end in ENDS]
    for number in range(1, count + 1):
        begins = newest - timedelta(minutes=47 * (count - number))
        begins -= timedelta(minutes=begins.minute % 5, seconds=begins.second)
        schedule_id = 1 + number % schedules if schedules else None
        stream_id = 1 + (schedule_id or number) % streams
        state, verdict, code, message = dice.choices(ends, weights)[0]
        yield _session(number, stream_id, schedule_id, begins, state, verdict, code, message, dice)


def _session(
    number: int,
    stream_id: int,
    schedule_id: int | None,
    begins: datetime,
    state: str,
    verdict: str | None,
    code: str | None,
    message: str | None,
    dice: random.Random,
) -> dict[str, Any]:
    name, planned = SHOWS[(schedule_id or number) % len(SHOWS)], HOUR * dice.choice((0.5, 1, 2))
    missing = GAP if verdict == "gapped" else 0.0
    gaps = [{"start": planned * 0.4, "length": GAP, "cause": "The server closed the connection."}] if missing else []
    late = 94.0 if verdict == "late" else 0.0
    short = 61.0 if verdict == "short" else 0.0
    recorded = planned - missing - late - short if verdict else 0.0
    titles = [{"start": recorded * place / len(TITLES), "title": title} for place, title in enumerate(TITLES)]
    file = f"Station {stream_id}/{begins:%Y-%m-%d} {name}.{number}.mp3" if verdict else None
    return {
        "id": number, "stream_id": stream_id, "schedule_id": schedule_id, "name": name, "state": state,
        "verdict": verdict, "epoch": 1, "wish": None, "priority": 0, "opens": begins, "planned_start": begins,
        "planned_end": begins + timedelta(seconds=planned), "start_early": 0.0, "end_late": 0.0, "timezone": "UTC",
        "plan": None, "started_at": begins if verdict else None, "ended_at": begins + timedelta(seconds=planned + 4),
        "recorded": recorded, "coverage": recorded / planned if verdict else None, "gaps": gaps,
        "account": {
            "verdicts": [verdict], "planned": planned, "recorded": recorded, "late": late, "short": short,
            "silent_share": 0.95 if verdict == "silent" else 0.01, "titles": titles,
            "ends": (begins + timedelta(seconds=planned)).isoformat(),
        } if verdict else None,
        "take_count": (2 if gaps else 1) if verdict else 0, "live": None,
        "title": f"{begins:%Y-%m-%d} {name}" if verdict else None, "file": file,
        "size": int(recorded * RATE) if verdict else None, "duration": recorded if verdict else None,
        "sha256": f"{number:064x}" if verdict else None, "tags": {"title": name} if verdict else None,
        "error_code": code, "error_message": message, "attempts": 0,
    }  # fmt: skip


def _events(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    begins: datetime = row["planned_start"]
    yield {"session_id": row["id"], "at": begins, "kind": "opened", "message": "Connected to the station."}
    if row["verdict"]:
        message = f"Recorded {row['recorded']:.1f} s in {row['take_count']} takes."
        yield {"session_id": row["id"], "at": row["planned_end"], "kind": "recorded", "message": message}
    elif row["error_message"]:
        yield {"session_id": row["id"], "at": row["planned_end"], "kind": "failed", "message": row["error_message"]}


def _transfer(row: dict[str, Any]) -> dict[str, Any]:
    ended = row["ended_at"]
    return {
        "session_id": row["id"], "destination_id": 1, "destination_name": "NAS", "state": "delivered", "attempts": 1,
        "fruitless": 0, "next_attempt_at": None, "sent": row["size"], "size": row["size"], "rate": 9_000_000.0,
        "remote_path": row["file"], "sha256": row["sha256"], "verified_by": "sha256", "error_code": None,
        "error_message": None, "created_at": ended, "started_at": ended, "finished_at": ended + timedelta(seconds=9),
    }  # fmt: skip


def _peaks(dice: random.Random) -> bytes:
    """Something that looks like a show: it swells, and it has breaks."""
    phase = dice.random() * 6
    swell = (0.55 + 0.3 * math.sin(phase + place / 90) for place in range(waveform.POINTS))
    return bytes(
        int(255 * level * (0.5 + dice.random() / 2)) if place % 167 > 3 else 6 for place, level in enumerate(swell)
    )
