"""Figures for Prometheus: what the service does, has done and has left.

A name is never given to another figure. No figure is kept per stream, schedule or session: there can be hundreds, they
come, go and are renamed, and every one would be a series for ever. What is wrong with a single one is told by the
findings and by notifications.

Source: Prometheus, "Metric and label naming" and "Writing exporters".
"""

import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psutil
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from rolltape import __version__
from rolltape.domain.notification import MessageState
from rolltape.domain.recording import Verdict
from rolltape.domain.session import NOT_BEGUN, OVER, Session, SessionState
from rolltape.domain.transfer import UNDER_WAY, Transfer, TransferState
from rolltape.domain.units import Seconds
from rolltape.services import tallies
from rolltape.services.clock import Clock
from rolltape.services.findings import Finding
from rolltape.services.health import Disk, Health
from rolltape.services.notifications import Notifications
from rolltape.store import Database

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    Family = CounterMetricFamily | GaugeMetricFamily

Values = Iterable[tuple[Sequence[str], float]]  # of a figure, each with what its labels say

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REMEMBERED = Seconds(5)  # several who scrape at once cost one look at the database
LEVELS = ("error", "warning")


@dataclass(frozen=True)
class Snapshot:
    """All that the figures are made of. Moments are aware; `backup_at` is None where there is no backup."""

    states: Mapping[SessionState, int]
    verdicts: Mapping[Verdict | None, int]
    totals: Mapping[str, float]
    transfers: Mapping[TransferState, int]
    oldest_transfer: datetime | None
    next_start: datetime | None
    findings: list[Finding]
    messages: Mapping[MessageState, int]
    disks: Mapping[str, Disk]
    hours_left: float
    is_ready: bool
    lag: Seconds
    backup_at: datetime | None
    now: datetime


class Figures:
    def __init__(self, database: Database, health: Health, notifications: Notifications, *, clock: Clock) -> None:
        self._database = database
        self._health = health
        self._notifications = notifications
        self._clock = clock
        self._process = psutil.Process()
        self._text = b""
        self._until = 0.0  # monotonic

    async def text(self) -> bytes:
        """All figures as Prometheus reads them."""
        if time.monotonic() >= self._until:
            self._text = _written(await self._snapshot(), self._process)
            self._until = time.monotonic() + REMEMBERED
        return self._text

    async def _snapshot(self) -> Snapshot:
        health = self._health
        async with self._database.read() as db:
            counted = await _counted(db)
            totals = await tallies.read(db)
            oldest = await db.scalar(select(func.min(Transfer.created_at)).where(Transfer.state.in_(UNDER_WAY)))
            starts = [await db.scalar(_first_start(state)) for state in NOT_BEGUN]
        return Snapshot(
            states=counted.states,
            verdicts=counted.verdicts,
            totals=totals,
            transfers=counted.transfers,
            oldest_transfer=oldest,
            next_start=min((start for start in starts if start is not None), default=None),
            findings=await health.findings(),
            messages=await self._notifications.counts(),
            disks=health.disks(),
            hours_left=await health.hours_left(),
            is_ready=await health.is_ready(),
            lag=self._notifications.lag,
            backup_at=await health.backup_at(),
            now=self._clock(),
        )


@dataclass(frozen=True)
class _Counted:
    states: Mapping[SessionState, int]
    verdicts: Mapping[Verdict | None, int]
    transfers: Mapping[TransferState, int]


async def _counted(db: AsyncSession) -> _Counted:
    async def by(column: InstrumentedAttribute[Any]) -> dict[Any, int]:
        return dict((await db.execute(select(column, func.count()).group_by(column))).all())

    return _Counted(await by(Session.state), await by(Session.verdict), await by(Transfer.state))


def _first_start(state: SessionState) -> "Select[datetime | None]":
    return select(func.min(Session.planned_start)).where(Session.state == state)


def _written(snapshot: Snapshot, process: psutil.Process) -> bytes:
    from prometheus_client import CollectorRegistry, generate_latest  # 0.2 s, and not everybody scrapes

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot, process))
    return generate_latest(registry)


class _Collector:
    def __init__(self, snapshot: Snapshot, process: psutil.Process) -> None:
        self._snapshot = snapshot
        self._process = process

    def collect(self) -> Iterator["Family"]:
        yield from _sessions(self._snapshot)
        yield from _totals(self._snapshot)
        yield from _transfers(self._snapshot)
        yield from _room(self._snapshot)
        yield from _health(self._snapshot)
        yield from _own(self._process, self._snapshot)


def _sessions(snapshot: Snapshot) -> Iterator["Family"]:
    states = [((state,), snapshot.states.get(state, 0)) for state in SessionState]
    yield _gauge("rolltape_sessions", "Sessions that are kept, by state.", ("state",), states)
    verdicts = [((verdict,), snapshot.verdicts.get(verdict, 0)) for verdict in Verdict]
    yield _gauge("rolltape_recordings", "Sessions that are kept and have audio, by verdict.", ("verdict",), verdicts)
    start = snapshot.next_start.timestamp() if snapshot.next_start else 0.0
    told = "Planned start of the next session as Unix time, 0 if none is planned."
    yield _single("rolltape_next_start_timestamp_seconds", told, start)


def _totals(snapshot: Snapshot) -> Iterator["Family"]:
    totals = snapshot.totals
    # Those that are 0 are there, too: what begins with 1 has not increased for Prometheus.
    ends = [(SessionState.DONE, verdict) for verdict in Verdict] + [(state, "") for state in OVER - {SessionState.DONE}]
    names = {f"{tallies.SESSIONS}:{state}:{verdict}" for state, verdict in ends}
    names |= {name for name in totals if name.startswith(f"{tallies.SESSIONS}:")}
    ended = [(name.split(":")[1:3], totals.get(name, 0.0)) for name in sorted(names)]
    for name, told in (
        (tallies.RECORDED, "Seconds of audio recorded by sessions that are over."),
        (tallies.LOST, "Seconds that were planned and not recorded, of sessions that are over and were wanted."),
        (tallies.RECONNECTS, "Connections that were made again during sessions that are over."),
        (tallies.RECEIVED, "Bytes of audio that stations sent, by its length and bit rate."),
    ):
        yield _counter(f"rolltape_{name}", told, (), [((), totals.get(name, 0.0))])
    told = "Sessions that came to their end, by state and verdict; goes on when sessions are deleted."
    yield _counter("rolltape_sessions_ended", told, ("state", "verdict"), ended)


def _transfers(snapshot: Snapshot) -> Iterator["Family"]:
    states = [((state,), snapshot.transfers.get(state, 0)) for state in TransferState]
    yield _gauge("rolltape_transfers", "Transfers that are kept, by state.", ("state",), states)
    queue = sum(snapshot.transfers.get(state, 0) for state in UNDER_WAY)
    yield _single("rolltape_transfer_queue_length", "Transfers that have not arrived and are still tried.", queue)
    oldest = snapshot.oldest_transfer
    age = max(0.0, (snapshot.now - oldest).total_seconds()) if oldest else 0.0
    yield _single("rolltape_transfer_queue_oldest_age_seconds", "Age of the oldest of them, 0 if there is none.", age)


def _room(snapshot: Snapshot) -> Iterator["Family"]:
    free = [((name,), disk.free) for name, disk in snapshot.disks.items()]
    total = [((name,), disk.total) for name, disk in snapshot.disks.items()]
    yield _gauge("rolltape_disk_free_bytes", "Bytes free on the disk of a folder.", ("folder",), free)
    yield _gauge("rolltape_disk_size_bytes", "Bytes that the disk of a folder holds.", ("folder",), total)
    told = "Seconds that what records now (or one usual stream) can go on until the disk is full."
    yield _single("rolltape_recording_left_seconds", told, snapshot.hours_left * 3600)


def _health(snapshot: Snapshot) -> Iterator["Family"]:
    yield _single("rolltape_ready", "Whether sessions can be recorded: 1, else 0.", float(snapshot.is_ready))
    levels = [((level,), sum(found.level == level for found in snapshot.findings)) for level in LEVELS]
    yield _gauge("rolltape_findings", "What needs attention on the page System, by level.", ("level",), levels)
    messages = [((state,), snapshot.messages.get(state, 0)) for state in MessageState]
    yield _gauge("rolltape_notifications", "Messages of the last 30 days, by state.", ("state",), messages)
    if snapshot.backup_at is not None:
        age = (snapshot.now - snapshot.backup_at).total_seconds()
        yield _single("rolltape_backup_age_seconds", "Age of the newest backup; not there if there is none.", age)


def _own(process: psutil.Process, snapshot: Snapshot) -> Iterator["Family"]:
    """The usual figures of a process, under their usual names, and what runs here."""
    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        started, files = process.create_time(), process.num_fds()
    spent = [((), times.user + times.system)]
    yield _counter("process_cpu_seconds", "Total user and system CPU time spent in seconds.", (), spent)
    yield _single("process_resident_memory_bytes", "Resident memory size in bytes.", memory.rss)
    yield _single("process_virtual_memory_bytes", "Virtual memory size in bytes.", memory.vms)
    yield _single("process_open_fds", "Number of open file descriptors.", files)
    yield _single("process_max_fds", "Maximum number of open file descriptors.", os.sysconf("SC_OPEN_MAX"))
    yield _single("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", started)
    told = "How much later than planned the event loop last came to a task."
    yield _single("rolltape_event_loop_lag_seconds", told, snapshot.lag)
    build = [((__version__, platform.python_version()), 1.0)]
    yield _gauge("rolltape_build_info", "What runs here; always 1.", ("version", "python"), build)


def _single(name: str, told: str, value: float) -> "Family":
    return _gauge(name, told, (), [((), value)])


def _gauge(name: str, told: str, labels: tuple[str, ...], values: Values) -> "Family":
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, told, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _counter(name: str, told: str, labels: tuple[str, ...], values: Values) -> "Family":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, told, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family
