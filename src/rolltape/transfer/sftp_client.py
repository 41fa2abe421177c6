"""SFTP version 3 over one channel: as much of it as a delivery needs, with every answer looked at.

Paramiko's own client drops the status of up to a hundred pending WRITEs and of CLOSE, and so reported success for a
corrupted file; here, each request is answered for. An answer that is no success is a `StatusError` with the
server's code, its text and the operation, so nobody has to guess from the text of an exception.

Source: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL for the extensions.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

PACKET_HEAD = 4 + 1 + 4  # length, kind, request id
WRITE_HEAD = PACKET_HEAD + 4 + 8 + 4  # and handle length, offset, data length; the handle comes on top
HANDLE = 4  # bytes, as OpenSSH's are
PACKETS = 7  # for one block, the most that OpenSSH's limit of 255 KiB has room for
LARGEST_ANSWER = 256 * 1024 + 1024  # OpenSSH's limit; more is a server that talks nonsense

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE = range(6)
UNSUPPORTED = 8

READ, WRITE, CREATE, TRUNCATE = 0x01, 0x02, 0x08, 0x10  # of OPEN

_INIT, _VERSION, _OPEN, _CLOSE, _READ, _WRITE, _LSTAT = 1, 2, 3, 4, 5, 6, 7
_SETSTAT, _REMOVE, _MKDIR, _REALPATH, _STAT, _RENAME = 9, 13, 14, 16, 17, 18
_STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _EXTENDED, _EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201

_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES = 0x1, 0x2, 0x4, 0x8
_FOLDER, _TYPE = 0o040000, 0o170000
_READ_ONLY = 0x1  # a flag of statvfs

_NAMES = {
    _OPEN: "open", _CLOSE: "close", _READ: "read", _WRITE: "write", _SETSTAT: "set the time of", _REMOVE: "remove",
    _MKDIR: "make the folder", _REALPATH: "find", _STAT: "look at", _LSTAT: "look at", _RENAME: "rename",
    _EXTENDED: "ask for",
}  # fmt: skip


class Stream(Protocol):
    """What it runs over. Both calls raise when the connection is gone."""

    def send(self, data: bytes | memoryview) -> None: ...

    def receive(self, size: int) -> bytes:
        """At least one byte, at most `size`."""

    def is_ready(self) -> bool:
        """Whether `receive` would return at once."""


class StatusError(Exception):
    """The server answered with something else than success."""

    def __init__(self, status: int, text: str, operation: str) -> None:
        super().__init__(f"{operation}: {text or 'no reason given'} (status {status})")
        self.status = status
        self.text = text
        self.operation = operation


class ProtocolError(Exception):
    """What came is no SFTP."""


@dataclass(frozen=True)
class Attributes:
    """Of a file. None is what the server did not tell."""

    size: int | None
    is_folder: bool


@dataclass(frozen=True)
class Volume:
    """What a file lies on; `free` is in bytes, for users without privileges."""

    free: int
    read_only: bool


class SftpClient:
    """One SFTP conversation. Not for use by two threads at once."""

    def __init__(self, stream: Stream, *, packet: int) -> None:
        """Begin to talk. `packet` is how many bytes fit into one packet of the channel."""
        self._stream = stream
        self._packet = packet
        self._buffer = bytearray()
        self._last_id = 0
        self._early: dict[int, tuple[int, bytes]] = {}  # answers that came before their turn
        self.extensions = self._greet()
        self._largest_write = self._limit()

    # one question, one answer

    def stat(self, path: bytes) -> Attributes | None:
        """None where there is nothing. A link is followed, and one that leads nowhere is something nevertheless."""
        for kind in (_STAT, _LSTAT):
            try:
                return _attributes(self._ask(kind, _string(path), expect=_ATTRS))
            except StatusError as exc:
                if exc.status != NO_SUCH_FILE:
                    raise
        return None

    def volume(self, path: bytes) -> Volume | None:
        """None where the server does not tell."""
        if b"statvfs@openssh.com" not in self.extensions:
            return None
        try:
            body = self._ask(_EXTENDED, _string(b"statvfs@openssh.com") + _string(path), expect=_EXTENDED_REPLY)
        except StatusError as exc:
            if exc.status in (UNSUPPORTED, FAILURE):  # advertised, and not done all the same
                return None
            raise
        values = struct.unpack_from(">11Q", body)
        fragment, available, flags = values[1], values[4], values[9]
        return Volume(free=fragment * available, read_only=bool(flags & _READ_ONLY))

    def make_folder(self, path: bytes) -> None:
        self._do(_MKDIR, _string(path) + struct.pack(">I", 0))

    def remove(self, path: bytes) -> None:
        self._do(_REMOVE, _string(path))

    def rename(self, old: bytes, new: bytes) -> None:
        """Version 3 demands that it fails where `new` exists; OpenSSH does, some servers do not."""
        self._do(_RENAME, _string(old) + _string(new))

    def posix_rename(self, old: bytes, new: bytes) -> None:
        """Replaces `new`."""
        self._do(_EXTENDED, _string(b"posix-rename@openssh.com") + _string(old) + _string(new))

    def set_times(self, path: bytes, modified: int) -> None:
        self._do(_SETSTAT, _string(path) + struct.pack(">III", _HAS_TIMES, modified, modified))

    def open(self, path: bytes, flags: int) -> bytes:
        body = self._ask(_OPEN, _string(path) + struct.pack(">II", flags, 0), expect=_HANDLE)
        handle, _ = _take_string(body, 0)
        return handle

    def close(self, handle: bytes) -> None:
        self._do(_CLOSE, _string(handle))

    def sync(self, handle: bytes) -> None:
        """Have it written to the disk, where the server can."""
        if b"fsync@openssh.com" not in self.extensions:
            return
        try:
            self._do(_EXTENDED, _string(b"fsync@openssh.com") + _string(handle))
        except StatusError as exc:
            if exc.status != UNSUPPORTED:
                raise

    # many at a time

    def write(
        self,
        handle: bytes,
        fill: Callable[[memoryview], int],
        start: int,
        *,
        block: int,
        window: int,
        on_acknowledged: Callable[[int], None],
    ) -> None:
        """Write from offset `start` on what `fill` puts into the buffer it is given, until that is nothing.

        At most `window` bytes are unanswered at a time; `on_acknowledged` is told up to where all is answered for.
        """
        head = WRITE_HEAD + len(handle)
        buffer = memoryview(bytearray(head + block))
        buffer[13 : 13 + len(handle)] = handle
        pending: deque[tuple[int, int]] = deque()
        unanswered, offset, done = 0, start, start
        while length := fill(buffer[head:]):
            self._last_id = ident = (self._last_id + 1) & 0xFFFFFFFF
            struct.pack_into(">IBII", buffer, 0, head - 4 + length, _WRITE, ident, len(handle))
            struct.pack_into(">QI", buffer, head - 12, offset, length)
            self._stream.send(buffer[: head + length])
            pending.append((ident, length))
            unanswered += length
            offset += length
            while unanswered >= window or (pending and self._stream.is_ready()):
                answered = self._acknowledged(pending)
                unanswered -= answered
                done += answered
            on_acknowledged(done)
        while pending:
            done += self._acknowledged(pending)
            on_acknowledged(done)

    def read(self, handle: bytes, size: int, window: int) -> Iterator[bytes]:
        """The first `size` bytes, in order, with at most `window` bytes asked for at a time."""
        block = 32 * 1024
        asked, given = 0, 0
        pending: deque[tuple[int, int, int]] = deque()
        while given < size:
            while asked < size and asked - given < window:
                length = min(block, size - asked)
                pending.append((self._ask_to_read(handle, asked, length), asked, length))
                asked += length
            ident, offset, length = pending.popleft()
            data, _ = _take_string(self._result(ident, _READ, _DATA), 0)
            if not data or len(data) > length:
                raise ProtocolError("an empty or overlong answer to READ")
            if len(data) < length:  # a short one: the rest is asked for again, and its turn is next
                offset, length = offset + len(data), length - len(data)
                pending.appendleft((self._ask_to_read(handle, offset, length), offset, length))
            given += len(data)
            yield data

    @property
    def block_size(self) -> int:
        """A good size of a block: so many full packets with their head, where the server takes as much."""
        return min(self._largest_write, PACKETS * self._packet - WRITE_HEAD - HANDLE)

    # packets

    def _greet(self) -> frozenset[bytes]:
        """What the server can beyond version 3."""
        self._stream.send(struct.pack(">IBI", 5, _INIT, 3))
        packet = self._packet_from_server()
        if packet[0] != _VERSION:
            raise ProtocolError("the first answer was no greeting")
        names, at = set(), 5
        while at < len(packet):
            name, at = _take_string(packet, at)
            _, at = _take_string(packet, at)
            names.add(name)
        return frozenset(names)

    def _limit(self) -> int:
        """Bytes of data that one WRITE may carry."""
        one_packet = self._packet - WRITE_HEAD - HANDLE
        if b"limits@openssh.com" not in self.extensions:
            return one_packet
        try:
            body = self._ask(_EXTENDED, _string(b"limits@openssh.com"), expect=_EXTENDED_REPLY)
        except StatusError:
            return one_packet
        largest = int(struct.unpack_from(">4Q", body)[2])
        return largest or one_packet

    def _do(self, kind: int, body: bytes) -> None:
        self._result(self._request(kind, body), kind, _STATUS)

    def _ask(self, kind: int, body: bytes, *, expect: int) -> bytes:
        return self._result(self._request(kind, body), kind, expect)

    def _ask_to_read(self, handle: bytes, offset: int, length: int) -> int:
        return self._request(_READ, _string(handle) + struct.pack(">QI", offset, length))

    def _acknowledged(self, pending: deque[tuple[int, int]]) -> int:
        """Wait for the oldest WRITE's answer; how many bytes it was about."""
        ident, length = pending.popleft()
        self._result(ident, _WRITE, _STATUS)
        return length

    def _request(self, kind: int, body: bytes) -> int:
        self._last_id = (self._last_id + 1) & 0xFFFFFFFF
        self._stream.send(struct.pack(">IBI", 5 + len(body), kind, self._last_id) + body)
        return self._last_id

    def _result(self, ident: int, operation: int, expected: int) -> bytes:
        """The body of the answer to request `ident`.

        Raises:
            StatusError: it is a status other than OK.
            ProtocolError: it is something else than what was asked for.
        """
        while ident not in self._early:
            packet = self._packet_from_server()
            if len(packet) < 5:
                raise ProtocolError("an answer without a number")
            self._early[int.from_bytes(packet[1:5], "big")] = (packet[0], packet[5:])
        kind, body = self._early.pop(ident)
        if kind == _STATUS:
            _check_status(body, _NAMES[operation])
        if kind != expected:
            raise ProtocolError(f"answer {kind} to request {operation}")

        return body

    def _packet_from_server(self) -> bytes:
        self._fill(4)
        size = int.from_bytes(self._buffer[:4], "big")
        if not 0 < size <= LARGEST_ANSWER:
            raise ProtocolError(f"an answer of {size} bytes")
        self._fill(4 + size)
        packet = bytes(self._buffer[4 : 4 + size])
        del self._buffer[: 4 + size]
        return packet

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            self._buffer += self._stream.receive(64 * 1024)


def _check_status(body: bytes, operation: str) -> None:
    status = int.from_bytes(body[:4], "big")
    if status == OK:
        return
    try:
        text, _ = _take_string(body, 4)
    except ProtocolError:  # older servers give no text
        text = b""
    raise StatusError(status, text.decode(errors="replace"), operation)


def _attributes(body: bytes) -> Attributes:
    flags = int.from_bytes(body[:4], "big")
    size, mode, at = None, 0, 4
    try:
        if flags & _HAS_SIZE:
            (size,), at = struct.unpack_from(">Q", body, at), at + 8
        if flags & _HAS_OWNER:
            at += 8
        if flags & _HAS_MODE:
            (mode,) = struct.unpack_from(">I", body, at)
    except struct.error as exc:
        raise ProtocolError("attributes that end too early") from exc
    return Attributes(size, is_folder=mode & _TYPE == _FOLDER)


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _take_string(body: bytes, at: int) -> tuple[bytes, int]:
    """The string at `at`, and where the next one begins."""
    end = at + 4 + int.from_bytes(body[at : at + 4], "big")
    if at + 4 > len(body) or end > len(body):
        raise ProtocolError("a string that ends too early")
    return body[at + 4 : end], end
