"""Archives of backups that were changed by hand, or that never were backups."""

import contextlib
import hashlib
import io
import json
import os
import pickle
import sqlite3
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Members = dict[str, bytes]

TRUNCATED_AT = 0.6  # of its length


def members_of(archive: Path) -> Members:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def manifest_of(archive: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(members_of(archive)["manifest.json"])
    return manifest


def write(target: Path, members: Members, *, manifest: dict[str, Any] | None = None) -> Path:
    """A zip of `members`. With a manifest, that one is told what is in it, as our own writer would."""
    if manifest is not None:
        told = [
            {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in members.items()
            if name != "manifest.json"
        ]
        members = members | {"manifest.json": json.dumps(manifest | {"members": told}).encode()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return target


def changed(archive: Path, target: Path, change: Callable[[Members], None], **manifest: Any) -> Path:
    """`archive` with other members, and a manifest that fits them."""
    members = members_of(archive)
    change(members)
    return write(target, members, manifest=manifest_of(archive) | manifest)


def with_row(archive: Path, target: Path, table: str, **values: Any) -> Path:
    """`archive` with other values in the first row of a table."""

    def change(members: Members) -> None:
        name = f"tables/{table}.jsonl"
        first, *rest = members[name].splitlines(keepends=True)
        members[name] = b"".join([json.dumps(json.loads(first) | values).encode() + b"\n", *rest])

    return changed(archive, target, change)


def _raw(archive: Path, change: Callable[[zipfile.ZipFile], None]) -> bytes:
    """`archive` with something added behind its members."""
    held = io.BytesIO(archive.read_bytes())
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(held, "a") as opened:
        change(opened)
    return held.getvalue()


def _link(opened: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("artwork/1-0123456789abcdef.jpg")
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    opened.writestr(info, "/etc/passwd")


def _twice(opened: zipfile.ZipFile) -> None:
    opened.writestr("tables/streams.jsonl", b"")


def _without_events(members: Members) -> None:
    del members["tables/events.jsonl"]


def _database(statements: str) -> bytes:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(statements)
        return db.serialize()


class _Evil:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self._canary}",)


def _pickle_database(canary: Path) -> bytes:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE apscheduler_jobs (id VARCHAR PRIMARY KEY, next_run_time FLOAT, job_state BLOB)")
        db.execute("INSERT INTO apscheduler_jobs VALUES ('x', 1, ?)", (pickle.dumps(_Evil(canary)),))
        db.commit()
        return db.serialize()


def _bomb(archive: Path, target: Path) -> Path:
    """300 MB of zeros, which take 300 kB."""
    return changed(archive, target, lambda members: members.update({"tables/events.jsonl": b"\0" * (300 << 20)}))


def _endless_row(archive: Path, target: Path) -> Path:
    """One row of 6 MB, of random text so that it does not look like a bomb."""
    row = json.dumps({"id": os.urandom(3 << 20).hex()}).encode() + b"\n"
    return changed(archive, target, lambda members: members.update({"tables/events.jsonl": row}))


def _deep_row(archive: Path, target: Path) -> Path:
    row = b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"
    return changed(archive, target, lambda members: members.update({"tables/events.jsonl": row}))


def _lying_size(archive: Path, target: Path) -> bytes:
    """Its manifest and its directory say that the bomb in it has no length."""
    nothing = changed(archive, target, lambda members: members.update({"tables/events.jsonl": b""}))
    members = members_of(nothing) | {"tables/events.jsonl": b"\0" * (50 << 20)}
    raw = bytearray(write(target, members).read_bytes())
    place = raw.rindex(b"tables/events.jsonl") - 46
    assert raw[place : place + 4] == b"PK\x01\x02"
    raw[place + 24 : place + 28] = struct.pack("<I", 0)
    return bytes(raw)


def _flipped(archive: Path) -> bytes:
    """One bit of the streams is another one."""
    raw = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo("tables/streams.jsonl")
    raw[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 0x10
    return bytes(raw)


def _many_members(target: Path) -> Path:
    """A directory of a million members, each of no length."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0)
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, 8, 0) + b"00000000"
    directory = b"".join(entry + b"%08d" % number for number in range(1_000_000))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(directory), len(local), 0)
    target.write_bytes(local + directory + end)
    return target


def hostile(archive: Path, folder: Path, canary: Path) -> dict[str, Path]:
    """By name: what somebody may try to have restored. `archive` is a good one; `canary` appears if code is run."""

    def file(name: str, content: bytes) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    good = archive.read_bytes()
    members = members_of(archive)
    trigger = "CREATE TABLE t (a); CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT load_extension('x'); END;"
    slipped = members | {"../slipped": b"x"}
    other = members | {"tables/streams.jsonl": b""}
    return {
        "empty": file("empty", b""),
        "text": file("text", b"This is no zip file. " * 1000),
        "wrong magic": file("magic", b"XX" + good[2:]),
        "truncated": file("truncated", good[: int(len(good) * TRUNCATED_AT)]),
        "half of the end": file("half", good[:-10]),
        "flipped byte": file("flipped.zip", _flipped(archive)),
        "foreign zip": write(folder / "foreign.zip", {"word/document.xml": b"<x/>"}),
        "zip without manifest": write(folder / "bare.zip", {"tables/streams.jsonl": b""}),
        "manifest of another program": changed(archive, folder / "app.zip", lambda _: None, application="other"),
        "manifest that is no JSON": write(folder / "nojson.zip", {"manifest.json": b"{" * 10_000}),
        "newer format": changed(archive, folder / "format.zip", lambda _: None, format=2, version="2.4.0"),
        "newer schema": changed(archive, folder / "schema.zip", lambda _: None, revision="9999", version="2.4.0"),
        "zip slip": write(folder / "slip.zip", slipped, manifest=manifest_of(archive)),
        "absolute path": write(folder / "abs.zip", members | {"/etc/x": b"x"}, manifest=manifest_of(archive)),
        "symlink": file("link.zip", _raw(archive, _link)),
        "twice": file("twice.zip", _raw(archive, _twice)),
        "other content": write(folder / "other.zip", other),
        "one table less": changed(archive, folder / "less.zip", _without_events),
        "one table more": changed(
            archive, folder / "more.zip", lambda found: found.update({"tables/logins.jsonl": b""})
        ),
        "bomb": _bomb(archive, folder / "bomb.zip"),
        "endless row": _endless_row(archive, folder / "endless.zip"),
        "deep row": _deep_row(archive, folder / "deep.zip"),
        "lying size": file("lying.zip", _lying_size(archive, folder / "lying.zip")),
        "a million members": _many_members(folder / "many.zip"),
        "pickle database": file("pickle.db", _pickle_database(canary)),
        "trigger database": file("trigger.db", _database(trigger)),
        "database in a zip": write(
            folder / "dbzip.zip", members | {"rolltape.db": _database(trigger)}, manifest=manifest_of(archive)
        ),
    }
