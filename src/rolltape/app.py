"""Settings in, running application out. What is built first is stopped last.

A command beside the service needs its services alone: what runs them, and the web, is built when it is first asked for.
"""

import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import structlog

from rolltape import __version__, logs, services, tag
from rolltape.capture import CaptureSettings
from rolltape.domain.errors import RolltapeError
from rolltape.domain.preference import PreferenceFields, component_levels
from rolltape.domain.units import MINUTE, Seconds, gigabytes, megabytes
from rolltape.ffmpeg.run import find
from rolltape.pipeline import Queue, Workshop
from rolltape.services import lost as lost_
from rolltape.services.backups import Places
from rolltape.services.clock import Clock, utc_now
from rolltape.services.space import Space
from rolltape.settings import Settings
from rolltape.store import Database, migrate
from rolltape.store.condition import file_of, has_sound_header
from rolltape.store.database import is_no_answer
from rolltape.transfer import TransferSettings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from rolltape.engine import LocalEngine
    from rolltape.pipeline import Pipeline
    from rolltape.scheduler import Scheduler

GRACE = 3  # s that open connections get when the service stops
BACKLOG = 512  # connections that may wait to be accepted
DATABASE_LOOK = Seconds(5)  # between looks whether the database is still the one that was opened
DAMAGED_AGAIN = Seconds(10 * MINUTE)  # when it is damaged within this of a start, another start does not help

log = structlog.get_logger(__name__)


class StartError(RolltapeError):
    """The service cannot start as things are."""

    code = "start"
    permanent = True


class DatabaseBroken(StartError):
    """The database does not stay sound."""


class App:
    """Everything there is, wired together. `start()` begins to record what is due, `stop()` interrupts it."""

    def __init__(self, settings: Settings, *, clock: Clock = utc_now) -> None:
        self.settings = settings
        egress = settings.egress
        self.workshop = Workshop(
            recordings=settings.recordings_dir,
            artwork=settings.artwork_dir,
            capture=CaptureSettings(ffmpeg=find(settings.ffmpeg), egress=egress),
            transfer=TransferSettings(keys=settings.config_dir, egress=egress),
            transfers_per_destination=settings.max_transfers_per_destination,
        )
        self.news = services.News()
        self.database = Database(settings.database_url, on_change=self.news.tell, on_damage=self._note_damage)
        self.damaged = asyncio.Event()  # the database; only a new start puts that in order
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self.services = self._build_services(clock)
        self.workshop.on_done = self.services.retention.delivered

    @cached_property
    def pipeline(self) -> "Pipeline":
        from rolltape.pipeline import Pipeline

        return Pipeline(self.services.sessions, self.services.transfers, self.workshop, clock=self._clock)

    @cached_property
    def engine(self) -> "LocalEngine":
        from rolltape.engine import LocalEngine

        return LocalEngine(self.pipeline, self.services.sessions, limits=_limits(self.settings), clock=self._clock)

    @cached_property
    def scheduler(self) -> "Scheduler":
        from rolltape.scheduler import Scheduler

        return Scheduler(self.services.schedules, self.services.sessions, submit=self.engine.look, clock=self._clock)

    @cached_property
    def web(self) -> "ASGIApp":
        from rolltape import web

        return web.create(
            self.services,
            allowed_hosts=self.settings.allowed_hosts,
            base_path=self.settings.base_path,
            port=self.settings.port,
            trusted_proxies=self.settings.trusted_proxies,
        )

    def _build_services(self, clock: Clock) -> services.Services:
        settings, database = self.settings, self.database
        sessions = services.Sessions(
            database, recordings=settings.recordings_dir, timezone=settings.timezone, clock=clock, wake=self.wake
        )
        streams = services.Streams(
            database, artwork=settings.artwork_dir, capture_settings=self.workshop.capture, clock=clock
        )
        schedules = services.Schedules(
            database,
            clock=clock,
            wake=self.wake,
            most_at_once=lambda: self.services.preferences.values.max_concurrent_sessions,
        )
        destinations = services.Destinations(
            database, transfer_settings=self.workshop.transfer, clock=clock, wake=self.wake
        )
        preferences = services.Preferences(
            database, given=settings.preferences, locked=settings.locked, fixed=settings.fixed, apply=self._apply
        )
        resources = services.Resources(
            {
                "recordings": settings.recordings_dir,
                "data": settings.data_dir,
                "covers": settings.artwork_dir,
                "backups": settings.backup_dir,
                "the log": settings.log_dir,
            },
            floor=lambda: gigabytes(preferences.values.disk_floor),
        )
        self.workshop.may_do = self.workshop.ahead.limits.may_do = resources.may_do
        space = Space(
            database,
            recordings=settings.recordings_dir,
            floor=lambda: gigabytes(preferences.values.disk_floor),
            clock=clock,
        )
        self.workshop.room_warning = space.warning
        health = services.Health(
            database,
            sessions,
            folders={"data": settings.data_dir, "recordings": settings.recordings_dir},
            find_ffmpeg=lambda: find(settings.ffmpeg),
            beat=lambda: Seconds(time.monotonic() - self.scheduler.last_beat),
            clock=clock,
            log_problem=logs.problem,
            more=lambda: [*resources.findings(), *self.pipeline.findings(), *self.services.retention.findings()],
            lost=lambda: self.services.recovery.told,
            last_backup=lambda: self.services.backups.latest(),
        )
        notifications = services.Notifications(
            database,
            health,
            keys=settings.config_dir,
            egress=settings.egress,
            clock=clock,
            public_url=settings.public_url,
        )
        backups = services.Backups(
            database,
            Places(settings.backup_dir, settings.artwork_dir, settings.config_dir, settings.recordings_dir),
            clock=clock,
            preferences=lambda: preferences.values,
            restored=self._restored,
            passphrase=settings.backup_passphrase,
            may_begin=lambda: resources.may_do("daily backups"),
        )
        return services.Services(
            streams=streams,
            schedules=schedules,
            sessions=sessions,
            listening=services.Listening(
                sessions, recordings=settings.recordings_dir, ffmpeg=self.workshop.capture.ffmpeg
            ),
            samples=services.Samples(
                settings.data_dir / "samples",
                capture_settings=self.workshop.capture,
                clock=clock,
                may_record=lambda: resources.may_do("samples"),
            ),
            transfers=services.Transfers(database, clock=clock, wake=self.wake),
            destinations=destinations,
            recovery=services.Recovery(
                database,
                data_dir=settings.data_dir,
                recordings=settings.recordings_dir,
                clock=clock,
                wake=self.wake,
            ),
            tokens=services.Tokens(database, clock=clock),
            users=services.Users(database, data_dir=settings.data_dir, setup_code=settings.setup_code, clock=clock),
            health=health,
            notifications=notifications,
            figures=services.Figures(database, health, notifications, clock=clock),
            news=self.news,
            keys=services.Keys(settings.config_dir),
            logs=services.Logs(settings.log_dir),
            preferences=preferences,
            resources=resources,
            waveforms=services.Waveforms(
                database,
                resources,
                recordings=settings.recordings_dir,
                ffmpeg=self.workshop.capture.ffmpeg,
                clock=clock,
            ),
            retention=services.Retention(database, sessions, recordings=settings.recordings_dir, clock=clock),
            configuration=services.Configuration(
                database,
                destinations=destinations,
                streams=streams,
                schedules=schedules,
                preferences=preferences,
                notifications=notifications,
            ),
            backups=backups,
        )

    def _apply(self, preferences: PreferenceFields) -> None:
        """Make the preferences count."""
        logs.set_levels(preferences.log_level, component_levels(preferences.log_levels))
        logs.set_limits(size=megabytes(preferences.log_size), days=preferences.log_retention)
        self.engine.set_limits(_limits(preferences))
        self.workshop.transfers_per_destination = preferences.max_transfers_per_destination
        self.services.sessions.timezone = preferences.timezone

    async def _restored(self) -> None:
        """All of the database may be another one."""
        await self.services.preferences.load()
        self.wake()
        self.services.recovery.restored()
        self._tasks.append(asyncio.create_task(self.services.recovery.search_if_lost()))

    def _note_damage(self, reason: str) -> None:
        if not self.damaged.is_set():
            log.error(f"the database is damaged: {reason}", action="database_damaged")
        self.damaged.set()

    async def _watch_database(self) -> None:
        """Notice when the file of the database is overwritten or removed by somebody else."""
        file = file_of(self.settings.database_url)
        while file is not None and not self.damaged.is_set():
            await asyncio.sleep(DATABASE_LOOK)
            try:
                if not await asyncio.to_thread(has_sound_header, file):
                    self._note_damage("its first page is not that of a database any more")
            except FileNotFoundError:
                # Where all is gone, it is the disk that is away: a new database would hide the one that comes back.
                if lost_.has_marker(self.settings.data_dir):
                    self._note_damage("its file was removed")

    async def bring_up_to_date(self) -> None:
        """Bring the database to the present schema; one that is older is backed up before."""
        await self.services.backups.before_migration()
        await migrate(self.settings.database_url)

    def wake(self) -> None:
        """Something has become due, or was asked."""
        self.scheduler.look()
        self.engine.look()

    async def start(self) -> None:
        """Bring the database up to date, and go on with what was left unfinished.

        Raises:
            DatabaseError: the database cannot be used.
            BackupError: it is of an older schema, and could not be backed up before it is changed.
        """
        url, data_dir = self.settings.database_url, self.settings.data_dir
        lost = await asyncio.to_thread(lost_.secure, url, data_dir, self.settings.recordings_dir, self._clock())
        await self.bring_up_to_date()
        lost_.keep_marker(url, data_dir, self._clock())
        self.services.recovery.tell(lost)
        await self.services.recovery.keep_numbers()
        await self.services.preferences.load()
        lost_.note_running(data_dir)
        self.services.samples.clear()
        await self.scheduler.start()
        await self.engine.start()
        await self.services.notifications.start()
        self._tasks += [
            asyncio.create_task(self._watch_database()),
            asyncio.create_task(self.services.retention.attend()),
            asyncio.create_task(self.services.waveforms.attend()),
            asyncio.create_task(self.services.recovery.search_if_lost()),
            asyncio.create_task(self.services.backups.run()),
            asyncio.create_task(self._load_rest()),
        ]

    async def _load_rest(self) -> None:
        """Load what can wait until the service answers, but not until files or memory run short."""
        await asyncio.to_thread(tag.load)
        # What was loaded so far stays: the collector need not look through it each time (0.2 s in which nothing moves).
        gc.freeze()

    async def stop(self) -> None:
        self.news.close()  # open tabs must not delay what follows
        await self.services.listening.close()
        await self.services.notifications.stop()
        await self.scheduler.stop()
        await self.engine.stop()
        await self.services.recovery.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        lost_.note_closed(self.settings.data_dir)
        await self.database.close()


async def serve(settings: Settings) -> None:
    """Run the service until a signal ends it.

    The stop begins with the signal, not when the last connection closes: an open tab must not delay it. A database that
    is found damaged has everything stopped as properly, and started anew, which moves it aside.

    Raises:
        DatabaseBroken: the database was damaged again soon after that.
    """
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for ask in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(ask, end.set)
    held = lock(settings)
    with held, logs.kept(settings.log_dir, size=megabytes(settings.log_size), days=settings.log_retention):
        damaged_at: float | None = None
        while await _serve(settings, end):
            if damaged_at is not None and time.monotonic() - damaged_at < DAMAGED_AGAIN:
                raise DatabaseBroken("The database was damaged once more: look at the disk that it lies on.")
            damaged_at = time.monotonic()


async def _serve(settings: Settings, end: asyncio.Event) -> bool:
    """Serve until the end is asked for; True when all of it is to be started anew."""
    listener = _listen(settings.host, settings.port)  # first of all: where that fails, nothing else is worth its time

    import uvicorn

    from rolltape import web

    app = App(settings)
    most_connections = web.most_connections(web.raise_limits())
    config = uvicorn.Config(
        app.web, log_config=None, lifespan="off", timeout_graceful_shutdown=GRACE, server_header=False,
        proxy_headers=False, access_log=False, ws="none", http=web.Connection, limit_concurrency=most_connections,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]  # our handlers come first
    try:
        await _start(app, end)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await _until_its_end(app, serving, end)
        finally:
            log.info("stopping", action="stopping")
            server.should_exit = True
            await asyncio.gather(app.stop(), serving)
    finally:
        listener.close()
    log.info("stopped", action="stopped")
    return app.damaged.is_set() and not end.is_set()


async def _until_its_end(app: App, serving: asyncio.Task[None], end: asyncio.Event) -> None:
    settings = app.settings
    address = f"http://{_shown(settings.host)}:{settings.port}{settings.base_path}"
    log.info(f"Rolltape {__version__} is at {address}", action="started")
    await _tell_setup_code(app, address)
    ends = [asyncio.create_task(end.wait()), asyncio.create_task(app.damaged.wait())]
    await asyncio.wait([serving, *ends], return_when=asyncio.FIRST_COMPLETED)
    for waiting in ends:
        waiting.cancel()


async def _start(app: App, end: asyncio.Event) -> None:
    """Start everything. Whoever asks for the end meanwhile is told that it comes afterwards."""
    starting = asyncio.create_task(app.start())
    waiting = asyncio.create_task(end.wait())
    await asyncio.wait([starting, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not starting.done():
        log.info("asked to end while it starts: the start comes to its end first", action="stop_waits")
    try:
        await starting
    except BaseException:
        await app.database.close()  # its threads would keep the process from ending
        raise


async def _tell_setup_code(app: App, address: str) -> None:
    try:
        code = await app.services.users.setup_code()
    except Exception as exc:
        if not is_no_answer(exc):
            raise
        log.warning("whether there is an account cannot be seen now", action="setup_unknown", exc_info=exc)
        return
    if code is not None:
        log.warning(f"there is no account yet: open {address}/setup and give the code {code}", action="setup_waits")


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[services.Services]:
    """The services beside a running service, or without one: for the command line. Starts nothing."""
    _make_folders(settings)
    lost_.check_usable(settings.database_url, settings.data_dir, settings.recordings_dir)
    has_changes_beside = lost_.has_changes_beside(settings.database_url)
    await migrate(settings.database_url)
    app = App(settings)
    try:
        yield app.services
    finally:
        await app.database.close()
        if has_changes_beside and not lost_.has_changes_beside(settings.database_url):
            lost_.note_closed(settings.data_dir)  # what a kill left beside the database is in it now


def lock(settings: Settings) -> TextIO:
    """Become the only instance on the data folder, before anything in it is touched."""
    _make_folders(settings)
    file = (settings.data_dir / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        raise StartError(f"Another Rolltape is running on {settings.data_dir}.") from exc
    return file


def _make_folders(settings: Settings) -> None:
    os.umask(0o077)
    for folder in (settings.data_dir, settings.config_dir, settings.artwork_dir, settings.recordings_dir):
        _make_folder(folder)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StartError(f"{folder} cannot be made: {exc.strerror}.") from exc
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise StartError(f"{folder} cannot be written by this user; change its owner.")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # By its protocol asyncio knows that it is TCP, and sends at once: without, an answer takes 40 ms longer.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as exc:
        raise StartError(f"{host}:{port} cannot be listened on: {exc.strerror}. ROLLTAPE_PORT takes another.") from exc
    return listener


def _limits(preferences: PreferenceFields) -> dict[Queue, int]:
    return {
        Queue.CAPTURE: preferences.max_concurrent_sessions,
        Queue.PROCESS: preferences.max_concurrent_processing,
        Queue.TRANSFER: preferences.max_concurrent_transfers,
    }


def _shown(host: str) -> str:
    return "localhost" if host in ("0.0.0.0", "::") else host
