"""A directory on a server without SFTP: by commands over SSH, as `scp` once did, but resumable and proven.

Nothing is taken from the server but exit states, sizes and digests; every path is quoted (see shell.py).
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from rolltape.domain.errors import TargetError
from rolltape.domain.transfer import Proof
from rolltape.domain.units import Bytes, Seconds
from rolltape.transfer import problems, shell
from rolltape.transfer.connection import Connection, Outcome
from rolltape.transfer.pace import Pace
from rolltape.transfer.place import REWIND, Entry, Original, read_into

BLOCK = 4 * (32 * 1024 - 64)  # bytes: four full packets of a channel
SYNC = Seconds(5 * 60)  # that a server may take to bring everything to its disk, at the end

_PROBLEMS: dict[bytes, Callable[[str], TargetError]] = {
    b"permission denied": problems.permission_denied,
    b"operation not permitted": problems.permission_denied,
    b"no space left": problems.disk_full,
    b"quota exceeded": problems.disk_full,
    b"read-only file system": problems.read_only,
    b"file name too long": problems.bad_name,
    b"file exists": problems.name_taken,
    b"not a directory": problems.name_taken,
}  # by what the programs on the server say, in English: see shell.py


class ShellPlace:
    """`directory` on the server of `connection`, which is logged in."""

    def __init__(self, connection: Connection, directory: str, limit: int | None) -> None:
        self._connection = connection
        self._directory = PurePosixPath(directory)
        self._limit = limit

    @classmethod
    def open(cls, connection: Connection, directory: str, limit: int | None) -> "ShellPlace | None":
        """None where the server runs no commands."""
        outcome = connection.run(shell.greet())
        if outcome is None or shell.MARK.encode() not in outcome.output:
            return None
        return cls(connection, directory, limit)

    def shown(self, path: PurePosixPath) -> str:
        return f"{self._connection.host}:{self._directory / path}"

    def full_path(self, path: PurePosixPath) -> str:
        return str(self._directory / path)

    def look(self, path: PurePosixPath) -> Entry | None:
        answer = self._run(shell.look(self.full_path(path)), path).text
        if answer == "nothing":
            return None
        if answer in ("folder", "other"):
            return Entry(Bytes(0), is_folder=answer == "folder")
        if not answer.isdigit():
            raise problems.failed(self.shown(path), "the server answers in riddles")
        return Entry(Bytes(int(answer)))

    def free(self) -> Bytes | None:
        outcome = self._connection.run(shell.free(self.full_path(PurePosixPath())))
        fields = outcome.text.split() if outcome is not None and outcome.status == 0 else []
        return Bytes(int(fields[3]) * 1024) if len(fields) > 4 and fields[3].isdigit() else None

    def make_folders(self, path: PurePosixPath) -> None:
        if path.parts:
            self._run(shell.make_folders(self.full_path(path)), path)

    def write(self, part: PurePosixPath, file: Original, start: int, on_progress: Callable[[Bytes], None]) -> None:
        pace = Pace(self._limit, self._connection.check_aborted)
        file.seek(start)
        blocks = _blocks(file, start, pace, on_progress)
        command = shell.write(self.full_path(part), start, REWIND)
        self._check(self._connection.run(command, send=blocks, patience=SYNC), part)

    def digest(self, path: PurePosixPath, size: Bytes) -> tuple[str, Proof]:
        found = self._connection.sha256(self.full_path(path), size)
        if found is not None:
            return found, Proof.SHA256

        return self._read_back(path), Proof.READBACK

    def stamp(self, path: PurePosixPath, modified: float) -> None:
        self._connection.run(shell.stamp(self.full_path(path), modified))

    def publish(self, part: PurePosixPath, final: PurePosixPath) -> None:
        outcome = self._connection.run(shell.publish(self.full_path(part), self.full_path(final)))
        if outcome is not None and outcome.status == shell.TAKEN:
            raise problems.name_taken(self.shown(final))
        self._check(outcome, final)

    def settle(self, path: PurePosixPath) -> None:
        """The server brings names to its disk in its own time."""

    def remove(self, path: PurePosixPath) -> None:
        self._run(shell.remove(self.full_path(path)), path)

    def _read_back(self, path: PurePosixPath) -> str:
        digest = hashlib.sha256()
        self._check(self._connection.run(shell.read(self.full_path(path)), receive=digest.update), path)
        return digest.hexdigest()

    def _run(self, command: str, path: PurePosixPath) -> Outcome:
        return self._check(self._connection.run(command), path)

    def _check(self, outcome: Outcome | None, path: PurePosixPath) -> Outcome:
        """The same outcome, if it is a success; else what went wrong is raised in this program's words."""
        where = self.shown(path)
        if outcome is None:
            raise problems.failed(where, "the server runs no more commands")
        if outcome.status == 0:
            return outcome
        for words, problem in _PROBLEMS.items():
            if words in outcome.output.lower():
                raise problem(where)
        raise problems.failed(where, f"the server said: {outcome.text}")


def _blocks(file: Original, start: int, pace: Pace, on_progress: Callable[[Bytes], None]) -> Iterator[memoryview]:
    """The rest of `file` in blocks; each that is asked for means that the one before was sent."""
    buffer = memoryview(bytearray(pace.block(BLOCK)))
    sent = start
    while size := read_into(file, buffer):
        pace.wait(size)
        yield buffer[:size]
        sent += size
        on_progress(Bytes(sent))
