"""The archive that a backup is: a zip with a manifest, the rows of the tables, the covers and, sealed, what is secret.

What is read may come from anywhere. Nothing is unpacked: members are read by name as streams, after the list of them
has been held against the manifest, and each is held against its SHA-256. So none of it is believed before it was seen
to be what was written.
"""

import hashlib
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from rolltape import __version__
from rolltape.domain.errors import InputError
from rolltape.store import revisions
from rolltape.store.snapshot import JsonRow

FORMAT = 1  # another number for archives that this program could not read
APPLICATION: Literal["rolltape"] = "rolltape"
MANIFEST, SECRETS = "manifest.json", "secrets.bin"
TABLES, ARTWORK = "tables/", "artwork/"

MIB = 1024**2  # bytes
LARGEST_ARCHIVE = 1024 * MIB  # 100,000 sessions take a thirtieth of it
LARGEST_CONTENT = 2048 * MIB  # of all members, unpacked
LARGEST_MANIFEST = 2 * MIB
LARGEST_COVER = 11 * MIB
LARGEST_SECRETS = 32 * MIB
LARGEST_ROW = 4 * MIB  # the titles of a week take a tenth of it
LARGEST_RATIO = 250  # unpacked to packed; rows have some 20, and only zeros have more than this
RATIO_COUNTS_FROM = MIB
MOST_MEMBERS = 10_000
CHUNK = 64 * 1024  # bytes that are read at once

COVER = r"\d{1,10}-[0-9a-f]{16}\.(?:jpg|png|webp)"  # name of a cover, as streams give it

_NAME = re.compile(r"tables/[a-z_]{1,60}\.jsonl|manifest\.json|secrets\.bin|artwork/" + COVER)
_END = b"PK\x05\x06"  # of the record that ends a zip. Source: PKWARE, APPNOTE.TXT, 4.3.16
_END_SIZE = 22  # bytes, without a comment
_END_64 = b"PK\x06\x07"  # leads to a record with larger numbers, which no backup needs
_END_64_SIZE = 20
_MEMBER_SIZE = 46 + 130  # bytes that the directory at the end has at most for each of our members
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


class Reason(StrEnum):
    """Why a backup was made; it is part of its name."""

    DAILY = "daily"
    MANUAL = "manual"
    MIGRATION = "migration"
    RESTORE = "restore"  # before one
    UPLOAD = "upload"


class Member(BaseModel):
    name: str
    size: int = Field(ge=0, le=LARGEST_CONTENT)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What an archive says of itself. `revision` is that of the schema its rows are of."""

    model_config = ConfigDict(frozen=True)

    format: int
    application: Literal["rolltape"]
    version: str = Field(max_length=40)
    revision: str = Field(max_length=40)
    created: AwareDatetime
    reason: Reason
    has_secrets: bool
    members: list[Member] = Field(max_length=MOST_MEMBERS)


class Writer:
    """Writes an archive into a file, member by member, without keeping any of it in memory."""

    def __init__(self, file: BinaryIO, created: datetime) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6, allowZip64=False)
        self._created = created
        self._members: list[Member] = []

    def add(self, name: str, chunks: Iterable[bytes], *, is_packed: bool = True) -> None:
        info = zipfile.ZipInfo(name, self._created.timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED if is_packed else zipfile.ZIP_STORED
        info.external_attr = (stat.S_IFREG | 0o600) << 16
        size, digest = 0, hashlib.sha256()
        with self._zip.open(info, "w") as member:
            for chunk in _joined(chunks):
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self._members.append(Member(name=name, size=size, sha256=digest.hexdigest()))

    def rows(self, table: str, rows: Iterable[JsonRow]) -> None:
        self.add(f"{TABLES}{table}.jsonl", (json.dumps(row).encode() + b"\n" for row in rows))

    def digest(self) -> bytes:
        """What the members so far come to: another one if any byte of them were another."""
        return digest_of(self._members)

    def finish(self, *, revision: str, reason: Reason, has_secrets: bool) -> None:
        manifest = Manifest(
            format=FORMAT,
            application=APPLICATION,
            version=__version__,
            revision=revision,
            created=self._created,
            reason=reason,
            has_secrets=has_secrets,
            members=self._members,
        )
        info = zipfile.ZipInfo(MANIFEST, self._created.timetuple()[:6])
        info.external_attr = (stat.S_IFREG | 0o600) << 16
        self._zip.writestr(info, manifest.model_dump_json(indent=1))
        self._zip.close()


class Archive:
    """An archive whose list of members has been checked, and agrees with its manifest.

    Raises:
        InputError: it is damaged, something else than a backup, or made by a newer program.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("rb")
        try:
            _check_end(self._file)
            try:
                self._zip = zipfile.ZipFile(self._file)
            except _UNREADABLE as exc:
                raise damaged("it is no whole zip file") from exc
            found = _checked_members(self._zip.infolist())
            self.manifest = self._read_manifest(found)
            self._members = {member.name: member for member in self.manifest.members}
            _compare(found, self._members)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    @property
    def tables(self) -> list[str]:
        return self._named(TABLES, ".jsonl")

    @property
    def covers(self) -> list[str]:
        return self._named(ARTWORK, "")

    def chunks(self, name: str) -> Iterator[bytes]:
        """The content of a member; that it was the right one is known when it has come to its end."""
        digest, size = hashlib.sha256(), 0
        for chunk in self._unpacked(name):
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        if size != self._members[name].size or digest.hexdigest() != self._members[name].sha256:
            raise damaged(f"{name} is not what was written")

    def rows(self, table: str) -> Iterator[JsonRow]:
        name = f"{TABLES}{table}.jsonl"
        for line in _lines(name, self.chunks(name)):
            yield _row(name, line)

    def read(self, name: str, *, largest: int) -> bytes:
        """A small member as a whole."""
        if self._members[name].size > largest:
            raise damaged(f"{name} is too large")
        return b"".join(self.chunks(name))

    def read_through(self) -> None:
        """Read every member to its end."""
        for name in self._members:
            for _ in self.chunks(name):
                continue

    def digest(self) -> bytes:
        """As the writer's, before it sealed what is secret."""
        return digest_of([member for member in self.manifest.members if member.name != SECRETS])

    def _named(self, folder: str, suffix: str) -> list[str]:
        names = (name for name in self._members if name.startswith(folder))
        return [name.removeprefix(folder).removesuffix(suffix) for name in names]

    def _unpacked(self, name: str) -> Iterator[bytes]:
        try:
            with self._zip.open(name) as member:
                while chunk := member.read(CHUNK):
                    yield chunk
        except _UNREADABLE as exc:
            raise damaged(f"{name} cannot be unpacked") from exc

    def _read_manifest(self, found: dict[str, zipfile.ZipInfo]) -> Manifest:
        if MANIFEST not in found:
            raise InputError("backup", "This is a zip file, but no backup of Rolltape.", code="backup_foreign")
        if found[MANIFEST].file_size > LARGEST_MANIFEST:
            raise damaged("its manifest is too large")
        try:
            told = json.loads(b"".join(self._unpacked(MANIFEST)), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as exc:
            raise damaged("its manifest cannot be read") from exc
        if not isinstance(told, dict) or told.get("application") != APPLICATION:
            raise InputError("backup", "This is a zip file, but no backup of Rolltape.", code="backup_foreign")
        _check_age(told)
        try:
            return Manifest.model_validate(told)
        except ValidationError as exc:
            raise damaged("its manifest is not as it should be") from exc


def damaged(what: str) -> InputError:
    """A refusal: this cannot be a backup as it was written."""
    return InputError("backup", f"The backup is damaged: {what}.", code="backup_damaged")


def digest_of(members: Iterable[Member]) -> bytes:
    told = "".join(f"{member.name} {member.size} {member.sha256}\n" for member in sorted(members, key=lambda m: m.name))
    return hashlib.sha256(told.encode()).digest()


def _check_age(told: dict[str, Any]) -> None:
    """Refuse what a newer program has made: it may say things that this one does not understand."""
    number, revision = told.get("format"), told.get("revision")
    if type(number) is not int or number < 1 or not isinstance(revision, str):
        raise damaged("its manifest is not as it should be")
    if number > FORMAT or revision not in revisions():
        version = "".join(char for char in str(told.get("version"))[:40] if char.isprintable())
        message = f"The backup was made by Rolltape {version}; this is {__version__}. Update Rolltape, then restore it."
        raise InputError("backup", message, code="backup_newer")


def _check_end(file: BinaryIO) -> None:
    """Refuse what does not end like our archives, or whose directory would not fit into memory."""
    size = file.seek(0, 2)
    if size > LARGEST_ARCHIVE:
        raise InputError("backup", f"A backup has at most {LARGEST_ARCHIVE // MIB} MB.", code="backup_damaged")
    file.seek(0)
    if file.read(2) != b"PK":
        raise InputError("backup", "This is no backup of Rolltape.", code="backup_foreign")
    file.seek(max(size - _END_SIZE - _END_64_SIZE, 0))
    tail = file.read()
    end = tail[-_END_SIZE:]
    if len(end) < _END_SIZE or end[:4] != _END or tail.startswith(_END_64):
        raise damaged("its end is missing")
    count, directory = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    if count > MOST_MEMBERS + 1 or directory > (MOST_MEMBERS + 1) * _MEMBER_SIZE:
        raise damaged("there is more in it than in any backup")
    file.seek(0)


def _checked_members(infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if not _NAME.fullmatch(info.orig_filename) or info.filename != info.orig_filename:
            shown = "".join(char for char in info.orig_filename[:60] if char.isprintable())
            raise InputError("backup", f"{shown} has no place in a backup of Rolltape.", code="backup_foreign")
        if info.filename in found:
            raise damaged(f"{info.filename} is in it twice")
        _check_member(info)
        found[info.filename] = info
    if sum(info.file_size for info in infos) > LARGEST_CONTENT:
        raise damaged("it would be too large unpacked")
    return found


def _check_member(info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise damaged(f"{info.filename} is no plain file")
    if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise damaged(f"{info.filename} is packed in another way")
    if info.file_size > RATIO_COUNTS_FROM and info.file_size > info.compress_size * LARGEST_RATIO:
        raise damaged(f"{info.filename} would be too large unpacked")
    if info.filename.startswith(ARTWORK) and info.file_size > LARGEST_COVER:
        raise damaged(f"{info.filename} is too large")


def _compare(found: dict[str, zipfile.ZipInfo], members: dict[str, Member]) -> None:
    """Hold what the archive has against what its manifest says."""
    if set(found) - {MANIFEST} != set(members):
        different = sorted((set(found) - {MANIFEST}) ^ set(members))
        raise damaged(f"its list of contents does not fit ({', '.join(different[:3])})")
    for name, member in members.items():
        if found[name].file_size != member.size:
            raise damaged(f"{name} has another size than it should")


def _joined(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same in larger pieces: rows are small, and each piece is packed by itself."""
    held, size = [], 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= CHUNK:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _lines(name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > LARGEST_ROW:
            raise damaged(f"a row of {name} is too long")
    if rest:
        raise damaged(f"{name} ends in the middle of a row")


def _row(name: str, line: bytes) -> JsonRow:
    try:
        row = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise damaged(f"a row of {name} cannot be read") from exc
    if not isinstance(row, dict):
        raise damaged(f"a row of {name} cannot be read")
    return row


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
