"""Backups: made, looked at, received and restored."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import LargeZipFile

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape import tag
from rolltape.domain.errors import BackupError, InputError, RolltapeError
from rolltape.domain.passphrase import check_passphrase
from rolltape.domain.preference import PreferenceFields
from rolltape.domain.stream import Stream
from rolltape.domain.take import takes_folder
from rolltape.domain.units import HOUR, MINUTE, Seconds
from rolltape.services.backups import daily
from rolltape.services.backups.archive import (
    ARTWORK,
    LARGEST_ARCHIVE,
    LARGEST_COVER,
    LARGEST_SECRETS,
    MIB,
    SECRETS,
    Archive,
    Reason,
    Writer,
    damaged,
)
from rolltape.services.backups.checking import check
from rolltape.services.backups.comparing import Change, compare
from rolltape.services.backups.folder import Backup, Folder, finish
from rolltape.services.backups.hiding import KEPT, SEALED, Hiding, Secrets, keys_in, read_secrets
from rolltape.services.backups.merging import Choices, Merge, read_present
from rolltape.services.backups.placing import EMPTIED, check_is_idle, put_in_place
from rolltape.services.backups.seal import seal, unseal
from rolltape.services.clock import BUILT, Clock
from rolltape.store import Database, DatabaseError, revisions
from rolltape.store.snapshot import Fresh, JsonRow, Snapshot, revision_of, snapshot

FIRST_LOOK = Seconds(2 * MINUTE)  # after the start, when everything else has begun
LOOK_EVERY = MINUTE  # whether a daily backup is due
RETRY = timedelta(seconds=HOUR)  # after one that failed

Which = str | Path  # the name of a backup in the folder, or a file from elsewhere

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Places:
    """The folders that a backup comes from and goes to."""

    backups: Path
    artwork: Path
    keys: Path
    recordings: Path


@dataclass(frozen=True)
class Outlook:
    """What a restoration would change, or has changed. `notes` says what is left to do, in sentences."""

    backup: Backup
    changes: Sequence[Change]
    notes: Sequence[str]
    safety: Backup | None = None  # the backup of what was there before


class Backups:
    """`passphrase` seals the backups that are made without anybody's asking. `restored` is called after each
    restoration: whatever is kept in memory may have changed.
    """

    def __init__(
        self,
        database: Database,
        places: Places,
        *,
        clock: Clock,
        preferences: Callable[[], PreferenceFields],
        restored: Callable[[], Awaitable[None]],
        passphrase: str = "",
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database = database
        self._may_begin = may_begin  # a daily one, which waits while the machine is short of something
        self._places = places
        self._folder = Folder(places.backups)
        self._clock = clock
        self._preferences = preferences
        self._restored = restored
        self._passphrase = passphrase
        self._turn = asyncio.Lock()  # one at a time: each takes a core and much of the disk
        self._not_before: datetime | None = None  # when a daily backup that failed is tried again

    async def all(self) -> Sequence[Backup]:
        """All backups, the newest first."""
        return await asyncio.to_thread(self._folder.all)

    async def get(self, name: Which) -> Backup:
        return await asyncio.to_thread(lambda: self._folder.describe(self._file(name)))

    async def latest(self) -> Backup | None:
        """The newest sound backup of this instance; None if there is none."""
        own = (backup for backup in await self.all() if backup.problem is None and backup.reason is not Reason.UPLOAD)
        return next(own, None)

    def path(self, name: str) -> Path:
        """The file of a backup."""
        return self._folder.file(name)

    async def create(self, reason: Reason = Reason.MANUAL, passphrase: str | None = None) -> Backup:
        """Make a backup of how things are at this moment. With a passphrase it holds what is secret, too.

        Raises:
            BackupError: it could not be written.
            InputError: the passphrase is too short.
        """
        async with self._turn:
            return await self._create(reason, passphrase)

    async def verify(self, name: Which, passphrase: str | None = None) -> Backup:
        """Read a backup from its begin to its end as if to restore it.

        Raises:
            InputError: it is damaged, foreign, made by a newer Rolltape, or the passphrase is wrong.
        """
        async with self._turn, self._loaded(self._file(name), passphrase):
            return await self.get(name)

    async def plan(
        self, name: Which, passphrase: str | None = None, *, with_accounts: bool = False, with_host_keys: bool = False
    ) -> Outlook:
        """What a restoration would change. Nothing is changed.

        Raises:
            InputError: it cannot be restored.
        """
        async with self._turn, self._loaded(self._file(name), passphrase) as loaded:
            choices = loaded.choices(self._clock(), self._places, with_accounts, with_host_keys)
            changes, notes = await self._compare(loaded, choices)
            return Outlook(await self.get(name), changes, notes)

    async def restore(
        self, name: Which, passphrase: str | None = None, *, with_accounts: bool = False, with_host_keys: bool = False
    ) -> Outlook:
        """Put a backup in the place of what is there. Everybody is signed out; accounts and tokens stay.

        `with_accounts`: those of the backup are added. `with_host_keys`: the servers that it knows are known again.

        Raises:
            InputError: it cannot be restored.
            ConflictError: something is being recorded, finished or sent.
            BackupError: no backup of the present state could be made, or the database did not take it.
        """
        async with self._turn:
            async with self._loaded(self._file(name), passphrase) as loaded:
                choices = loaded.choices(self._clock(), self._places, with_accounts, with_host_keys)
                await self._check_is_idle()
                changes, _ = await self._compare(loaded, choices)
                safety = await self._create(Reason.RESTORE, self._passphrase or passphrase)
                await asyncio.to_thread(loaded.put_files, self._places)
                notes = await self._put_in_place(loaded.fresh, choices)
            await self._restored()
        restored = await self.get(name)
        log.warning(f"{restored.name} was restored", action="backup_restored", backup=restored.name, safety=safety.name)
        return Outlook(restored, changes, notes, safety)

    async def delete(self, name: str) -> None:
        await asyncio.to_thread(self._folder.delete, name)
        log.info(f"the backup {name} was deleted", action="backup_deleted", backup=name)

    async def receive(self, chunks: AsyncIterator[bytes]) -> Backup:
        """Take a backup from elsewhere. It is looked at as a whole before it is in the list.

        Raises:
            InputError: it is too large, or cannot be restored here.
            BackupError: it could not be written.
        """
        with self._folder.part() as (part, file):
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                if size > LARGEST_ARCHIVE:
                    raise InputError("file", f"A backup has at most {LARGEST_ARCHIVE // MIB} MB.")
                await asyncio.to_thread(file.write, chunk)
            if size == 0:
                raise InputError("file", "Choose a backup first: nothing has arrived.")
            await asyncio.to_thread(finish, file)
            async with self._turn, self._loaded(part, None):
                final = await asyncio.to_thread(self._folder.publish, part, self._clock(), Reason.UPLOAD)
        log.info("a backup was brought", action="backup_received", backup=final.name)
        return await self.get(final.name)

    async def before_migration(self) -> None:
        """Make a backup of a database of an older schema, from that schema.

        Raises:
            BackupError: there is something to lose, and it could not be backed up.
        """
        revision = await asyncio.to_thread(revision_of, self._database.url)
        if revision not in revisions()[1:]:
            return
        try:
            made = await self.create(Reason.MIGRATION, self._passphrase or None)
        except BackupError as exc:
            raise BackupError(f"The database is older and is not changed without a backup. {exc.message}") from exc
        log.info(f"the database is brought up to date; {made.name} is how it was", action="backup_before_migration")

    async def run(self) -> None:
        """Make the daily backups, until cancelled."""
        await asyncio.to_thread(self._folder.clear)
        await asyncio.sleep(FIRST_LOOK)
        while True:
            try:
                await self.make_daily()
            except Exception as exc:
                self._not_before = self._clock() + RETRY
                reason = exc.message if isinstance(exc, RolltapeError) else repr(exc)
                log.exception(f"no daily backup: {reason}", action="backup_failed")
            await asyncio.sleep(LOOK_EVERY)

    async def make_daily(self) -> Backup | None:
        """Make the daily backup if it is due, and remove the oldest ones; None if nothing was to be done."""
        now, preferences = self._clock(), self._preferences()
        if now.date() < BUILT or (self._not_before is not None and now < self._not_before):
            return None
        backups = await self.all()
        hour, zone = preferences.backup_hour, preferences.timezone
        if not daily.is_due(backups, now, hour=hour, zone=zone) or not await self._is_anything_there():
            return None
        if not self._may_begin():
            return None
        made = await self.create(Reason.DAILY, self._passphrase or None)
        self._not_before = None
        for old in daily.too_many(await self.all(), kept=preferences.backups_kept):
            await self.delete(old.name)
        return made

    def _file(self, name: Which) -> Path:
        return name if isinstance(name, Path) else self._folder.file(name)

    async def _is_anything_there(self) -> bool:
        async with self._database.read() as db:
            return await db.scalar(select(Stream.id).limit(1)) is not None

    async def _create(self, reason: Reason, passphrase: str | None) -> Backup:
        if passphrase:
            check_passphrase(passphrase)
        created = self._clock()
        final = await asyncio.to_thread(self._write, reason, passphrase, created)
        made = await self.get(final.name)
        log.info(f"the backup {made.name} was made", action="backup_made", backup=made.name, size=made.size)
        return made

    def _write(self, reason: Reason, passphrase: str | None, created: datetime) -> Path:
        with self._folder.part() as (part, file):
            try:
                with snapshot(self._database.url) as rows:
                    _write_archive(Writer(file, created), rows, self._places, reason, passphrase)
            except (DatabaseError, LargeZipFile) as exc:
                raise BackupError(f"The backup could not be made: {exc}.") from exc
            finish(file)
            with Archive(part) as archive:  # a backup that cannot be read is none
                archive.read_through()
            return self._folder.publish(part, created, reason)

    @contextlib.asynccontextmanager
    async def _loaded(self, file: Path, passphrase: str | None) -> AsyncIterator["_Loaded"]:
        with contextlib.ExitStack() as stack:
            yield await asyncio.to_thread(_load, stack, file, self._places.backups, passphrase)

    async def _check_is_idle(self) -> None:
        async with self._database.read() as db:
            await (await db.connection()).run_sync(check_is_idle)

    async def _compare(self, loaded: "_Loaded", choices: Choices) -> tuple[list[Change], list[str]]:
        async with self._database.read() as db:
            connection = await db.connection()
            present = await connection.run_sync(read_present, loaded.fresh)
            merge = Merge(loaded.fresh, present, choices)
            return await connection.run_sync(compare, merge), merge.notes

    async def _put_in_place(self, fresh: Fresh, choices: Choices) -> list[str]:
        highest = await asyncio.to_thread(_highest_session, self._places.recordings)
        try:
            async with self._database.write() as db:
                _note_changes(db)
                connection = await db.connection()
                return await connection.run_sync(put_in_place, fresh, choices, highest_session=highest)
        except SQLAlchemyError as exc:
            log.exception("a backup could not be put in place", action="restore_failed")
            message = "The database did not take the backup; everything is as it was. The log says why."
            raise BackupError(message) from exc


@dataclass
class _Loaded:
    """A backup that was read to its end and found good, with its rows in a database of our own making."""

    archive: Archive
    fresh: Fresh
    secrets: Secrets | None

    def choices(self, now: datetime, places: Places, with_accounts: bool, with_host_keys: bool) -> Choices:
        if (with_accounts or with_host_keys) and self.secrets is None:
            what = "Accounts" if with_accounts else "The keys of servers"
            if not self.archive.manifest.has_secrets:
                raise InputError("passphrase", f"{what} are not in this backup: it was made without a passphrase.")
            raise InputError("passphrase", f"{what} are in the sealed part: the passphrase is needed.")
        covers = {*self.archive.covers, *_names(places.artwork)}
        keys = {*_names(places.keys), *(self.secrets.keys if self.secrets else ())}
        return Choices(now, self.secrets, with_accounts, with_host_keys, frozenset(covers), frozenset(keys))

    def put_files(self, places: Places) -> None:
        """Covers and private keys go to their folders. What is there already stays; more of it does no harm.

        Raises:
            InputError: one is no picture.
            BackupError: one cannot be written.
        """
        try:
            for name in self.archive.covers:
                if not (places.artwork / name).exists():
                    _write_new(places.artwork / name, self._cover(name))
            for name, content in (self.secrets.keys if self.secrets else {}).items():
                _write_new(places.keys / name, content)
        except OSError as exc:
            raise BackupError(f"{exc.filename} could not be written: {exc.strerror}. Nothing was changed.") from exc

    def _cover(self, name: str) -> bytes:
        content = self.archive.read(f"{ARTWORK}{name}", largest=LARGEST_COVER)
        try:
            suffix = tag.check_artwork(content)
        except InputError as exc:
            raise InputError("backup", f"The cover {name}: {exc.message}", code="backup_invalid") from exc
        if not name.endswith(suffix):
            raise damaged(f"the cover {name} is of another kind")
        return content


def _write_archive(writer: Writer, rows: Snapshot, places: Places, reason: Reason, passphrase: str | None) -> None:
    hiding, covers = Hiding(), set()

    def hidden(table: str) -> Iterator[JsonRow]:
        for row in rows.rows(table):
            if table == "streams" and row["artwork"]:
                covers.add(row["artwork"])
            yield hiding.hide(table, row)

    for table in rows.tables:
        if table in KEPT:
            writer.rows(table, hidden(table))
    for name in sorted(covers):
        if (places.artwork / name).is_file():
            writer.add(f"{ARTWORK}{name}", [(places.artwork / name).read_bytes()], is_packed=False)
    if passphrase:
        for table in (table for table in rows.tables if table in SEALED):
            for row in rows.rows(table):
                hiding.take(table, row)
        hiding.secrets.keys.update(keys_in(places.keys))
        sealed = seal(hiding.secrets.to_bytes(), passphrase, about=writer.digest())
        writer.add(SECRETS, [sealed], is_packed=False)
    writer.finish(revision=rows.revision, reason=reason, has_secrets=bool(passphrase))


def _load(stack: contextlib.ExitStack, file: Path, folder: Path, passphrase: str | None) -> _Loaded:
    """Read a backup to its end: its members, its rows into a fresh database of its schema, that to the present one."""
    archive = stack.enter_context(Archive(file))
    secrets = _unsealed(archive, passphrase) if passphrase and archive.manifest.has_secrets else None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = Path(stack.enter_context(TemporaryDirectory(prefix=".", suffix=".work", dir=folder)))
        fresh = Fresh(work / "rows.db", archive.manifest.revision)
        stack.callback(fresh.close)
        if set(archive.tables) != {name for name in KEPT if name in fresh.tables}:
            raise damaged("it does not have the tables that it should")
        for name in archive.covers:
            for _ in archive.chunks(f"{ARTWORK}{name}"):
                continue
        if archive.manifest.has_secrets:
            archive.read(SECRETS, largest=LARGEST_SECRETS)
        fresh.load(_rows(archive, secrets, fresh))
        fresh.migrate()
        check(fresh)
    except (OSError, DatabaseError) as exc:
        raise BackupError(f"The backup could not be looked at: {exc}.") from exc
    return _Loaded(archive, fresh, secrets)


def _rows(archive: Archive, secrets: Secrets | None, fresh: Fresh) -> Iterator[tuple[str, JsonRow]]:
    for table in fresh.tables:
        if table in KEPT:
            yield from ((table, row) for row in archive.rows(table))
        elif table in SEALED and secrets is not None:
            yield from ((table, row) for row in getattr(secrets, table))


def _unsealed(archive: Archive, passphrase: str) -> Secrets:
    sealed = archive.read(SECRETS, largest=LARGEST_SECRETS)
    return read_secrets(unseal(sealed, passphrase, about=archive.digest()))


def _note_changes(db: AsyncSession) -> None:
    """Pages that are open hear of it."""
    db.info.setdefault("changed", set()).update(EMPTIED)


def _highest_session(recordings: Path) -> int:
    """The highest number of a session whose takes lie in the folder of recordings: no other session may get it."""
    names = _names(takes_folder(recordings, 0).parent)
    return max((int(name) for name in names if name.isdecimal() and len(name) < 10), default=0)


def _names(folder: Path) -> list[str]:
    try:
        return [file.name for file in folder.iterdir()]
    except OSError:
        return []


def _write_new(file: Path, content: bytes) -> None:
    """Write a file for our eyes only, unless there is one of this name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as target:
        target.write(content)
        finish(target)
    if file.exists():
        part.unlink()
        return
    part.replace(file)
