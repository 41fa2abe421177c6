"""A radio station with faults: each path has one of its own. Raw sockets, in threads of the tests."""

import contextlib
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BYTES_PER_SECOND = 16000  # of the MP3: 128 kbit/s
# What a station may call itself and its titles; all that a browser could take for something else than text.
HOSTILE = """<img src=x onerror=alert(1)></script><script>alert(1)</script>"onmouseover="alert(1)' {{7*7}}"""
HOSTILE_TITLES = (HOSTILE, "\u202edesrever\u202c and back", "\x1b[31mred\x07\x00\r\nforged line", "x" * 4000)
_HTML = b"<!DOCTYPE html><html><head><title>Portal</title></head><body>" + b"Please log in. " * 500 + b"</body></html>"


@dataclass
class FaultyStation:
    """`mp3` and `aac` are whole frames, `ogg` is a chain of files; all of 128 kbit/s or so.

    `requests` are the heads of the requests that came.
    """

    mp3: bytes
    aac: bytes = b""
    ogg: bytes = b""
    requests: list[str] = field(default_factory=list)
    visits: Counter[str] = field(default_factory=Counter)
    port: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _alone: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def serve(self, server: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            request = b""
            while b"\r\n\r\n" not in request:
                data = connection.recv(4096)
                if not data:
                    return
                request += data
            self.requests.append(request.decode("latin-1"))
            path = request.split()[1].decode().lstrip("/")
            self.visits[path] += 1
            if not request.startswith(b"GET "):
                _head(connection, status="400 Bad Request")
                return
            fault: Callable[[socket.socket], None] | None = getattr(self, f"_{path.split('?')[0]}", None)
            if fault is None:
                _head(connection, status="404 Not Found")
            else:
                fault(connection)

    def _play(
        self, connection: socket.socket, seconds: float = 600, *, burst: float = 2, audio: bytes | None = None
    ) -> None:
        """The station's audio in real time, `burst` seconds of it at once."""
        audio = self.mp3 if audio is None else audio
        began, sent, wanted = time.monotonic(), 0, 0
        while not self._stop.is_set():
            gone = time.monotonic() - began
            wanted = int((min(gone, seconds) + burst) * BYTES_PER_SECOND)
            while sent < wanted:
                piece = audio[sent % len(audio) :][: min(1400, wanted - sent)]
                connection.sendall(piece)
                sent += len(piece)
            if gone >= seconds:
                return
            time.sleep(0.02)

    # What follows are the paths.

    def _ok(self, connection: socket.socket) -> None:
        _head(connection)
        self._play(connection)

    def _wrongtype(self, connection: socket.socket) -> None:
        _head(connection, "text/html")
        self._play(connection)

    def _icy200(self, connection: socket.socket) -> None:
        connection.sendall(b"ICY 200 OK\r\nicy-name:Old Radio\r\ncontent-type:audio/mpeg\r\n\r\n")
        self._play(connection)

    def _lfonly(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\nicy-name: Old Radio\n\n")
        self._play(connection)

    def _chunked(self, connection: socket.socket) -> None:
        _head(connection, more="Transfer-Encoding: chunked", version="1.1")
        for position in range(0, 3 * BYTES_PER_SECOND, 700):
            piece = self.mp3[position : position + 700]
            connection.sendall(f"{len(piece):x};a=b\r\n".encode() + piece + b"\r\n")
        while not self._stop.is_set():
            time.sleep(0.7 * 1000 / BYTES_PER_SECOND)
            position = (position + 700) % (len(self.mp3) - 700)
            piece = self.mp3[position : position + 700]
            connection.sendall(f"{len(piece):X}\r\n".encode() + piece + b"\r\n")

    def _titles(self, connection: socket.socket) -> None:
        """Hostile titles: broken UTF-8, line ends, markup, and one that fills the longest block."""
        _head(connection, more="icy-metaint: 4000")
        self._play_titled(connection, [b"<b>Caf\xe9</b>\r\nINFO forged line", "Ünïcode".encode(), b"x" * 4000, b""])

    def _hostile(self, connection: socket.socket) -> None:
        """A name and titles that would do something if a page took them for markup."""
        connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-name: {HOSTILE}\r\n".encode())
        connection.sendall(f"icy-genre: {HOSTILE}\r\nicy-metaint: 4000\r\n\r\n".encode())
        self._play_titled(connection, [title.encode() for title in HOSTILE_TITLES])

    def _play_titled(self, connection: socket.socket, texts: list[bytes]) -> None:
        """The MP3 in real time, with the next of `texts` as its title every half of a second."""
        began, count = time.monotonic(), 0
        while not self._stop.is_set():
            connection.sendall((self.mp3 * 2)[count * 4000 % len(self.mp3) :][:4000])
            text = b"StreamTitle='" + texts[count // 2 % len(texts)] + b"';"
            text += b"\0" * (-len(text) % 16)
            connection.sendall(bytes([len(text) // 16]) + text if count % 2 else b"\0")
            count += 1
            time.sleep(max(0.0, began + count * 4000 / BYTES_PER_SECOND - 2 - time.monotonic()))

    def _drop(self, connection: socket.socket) -> None:
        _head(connection)
        self._play(connection, 2)

    def _reset(self, connection: socket.socket) -> None:
        _head(connection)
        self._play(connection, 2)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _stall(self, connection: socket.socket) -> None:
        _head(connection)
        self._play(connection, 1)
        self._stop.wait(600)

    def _silence(self, connection: socket.socket) -> None:
        _head(connection)
        self._stop.wait(600)

    def _drip(self, connection: socket.socket) -> None:
        _head(connection)
        self._play(connection, 1)
        self._slowly(connection, self.mp3, 1)

    def _slow(self, connection: socket.socket) -> None:
        """A tenth of real time."""
        _head(connection)
        self._play(connection, 1)
        self._slowly(connection, self.mp3, BYTES_PER_SECOND // 100)

    def _slowly(self, connection: socket.socket, data: bytes, piece: int) -> None:
        for position in range(0, len(data), piece):
            if self._stop.wait(0.1):
                return
            connection.sendall(data[position : position + piece])

    def _nohead(self, connection: socket.socket) -> None:
        self._stop.wait(600)

    def _driphead(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n")
        self._slowly(connection, b"X-A: b\r\n" * 1000, 2)

    def _bighead(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n")
        while not self._stop.is_set():
            connection.sendall(b"X-A: " + b"b" * 4000 + b"\r\n")

    def _nohttp(self, connection: socket.socket) -> None:
        connection.sendall(b"220 smtp.example ESMTP ready\r\n\r\n")

    def _nothing(self, connection: socket.socket) -> None:
        pass

    def _empty(self, connection: socket.socket) -> None:
        _head(connection)

    def _loop(self, connection: socket.socket) -> None:
        _head(connection, status="302 Found", more="Location: /loop")

    def _hops(self, connection: socket.socket) -> None:
        _head(connection, status="302 Found", more=f"Location: /hops?{self.visits.total()}")

    def _moved(self, connection: socket.socket) -> None:
        _head(connection, status="301 Moved Permanently", more="Location: ok")

    def _tofile(self, connection: socket.socket) -> None:
        _head(connection, status="302 Found", more="Location: file:///etc/passwd")

    def _unauthorised(self, connection: socket.socket) -> None:
        if "Authorization: Basic dXNlcjpwYXNz" in self.requests[-1]:
            self._ok(connection)
        else:
            _head(connection, status="401 Unauthorized", more='WWW-Authenticate: Basic realm="x"')

    def _forbidden(self, connection: socket.socket) -> None:
        _head(connection, status="403 Forbidden")

    def _busy(self, connection: socket.socket) -> None:
        """Busy once, and asks for two seconds."""
        if self.visits["busy"] == 1:
            _head(connection, status="503 Service Unavailable", more="Retry-After: 2")
        else:
            self._ok(connection)

    def _shy(self, connection: socket.socket) -> None:
        """Says nothing to who comes first."""
        if self.visits["shy"] == 1:
            self._stop.wait(600)
        else:
            self._ok(connection)

    def _html(self, connection: socket.socket) -> None:
        _head(connection, "audio/mpeg")
        connection.sendall(_HTML)

    def _html_kept_open(self, connection: socket.socket) -> None:
        page = b"<html><body>Off the air</body></html>"
        _head(connection, "text/html", more=f"Content-Length: {len(page)}", version="1.1")
        connection.sendall(page)
        self._stop.wait(600)

    def _garbage(self, connection: socket.socket) -> None:
        _head(connection)
        connection.sendall(os.urandom(100_000))

    def _picture(self, connection: socket.socket) -> None:
        _head(connection)
        connection.sendall(b"\x89PNG\r\n\x1a\n" + bytes(5000))

    def _file(self, connection: socket.socket) -> None:
        """An hour of audio at once: a finished file."""
        _head(connection)
        for _ in range(3600 * BYTES_PER_SECOND // len(self.mp3)):
            connection.sendall(self.mp3)

    def _codecchange(self, connection: socket.socket) -> None:
        _head(connection)
        self._play(connection, 2)
        self._play(connection, audio=self.aac)

    def _chain(self, connection: socket.socket) -> None:
        _head(connection, "application/ogg")
        self._play(connection, audio=self.ogg)

    def _hiccup(self, connection: socket.socket) -> None:
        """Five seconds without audio, which is lost."""
        self._pause(connection, burst=0)

    def _catchup(self, connection: socket.socket) -> None:
        """Five seconds without audio, which comes afterwards."""
        self._pause(connection, burst=5)

    def _pause(self, connection: socket.socket, *, burst: float) -> None:
        """Five seconds without audio, and then `burst` seconds of it at once; for one listener at a time."""
        if not self._alone.acquire(blocking=False):
            _head(connection, status="403 Forbidden")
            return
        try:
            _head(connection)
            self._play(connection, 2)
            self._stop.wait(5)
            self._play(connection, burst=burst)
        finally:
            self._alone.release()

    def _junk(self, connection: socket.socket) -> None:
        """Two seconds, then noise between the frames, then audio again."""
        _head(connection)
        self._play(connection, 1, burst=1)
        connection.sendall(bytes(3000) + b"\xff\xfb" * 20 + b"\xff" * 100)
        self._play(connection)

    def _pls(self, connection: socket.socket) -> None:
        _head(connection, "audio/x-scpls")
        connection.sendall(b"[playlist]\r\nNumberOfEntries=2\r\nFile1=" + self.url("nix").encode())
        connection.sendall(b"\r\nFile2=/ok\r\n")

    def _m3u(self, connection: socket.socket) -> None:
        _head(connection, "text/plain")
        connection.sendall(b"#EXTM3U\n#EXTINF:-1,Radio\nok\n")

    def _plain_m3u(self, connection: socket.socket) -> None:
        _head(connection, "audio/x-mpegurl")
        connection.sendall(self.url("ok").encode() + b"\n")

    def _xspf(self, connection: socket.socket) -> None:
        _head(connection, "application/xspf+xml")
        connection.sendall(b'<?xml version="1.0"?><playlist xmlns="http://xspf.org/ns/0/"><trackList><track><location>')
        connection.sendall(self.url("ok?a=1&amp;b=2").encode() + b"</location></track></trackList></playlist>")

    def _self_m3u(self, connection: socket.socket) -> None:
        _head(connection)
        connection.sendall(b"#EXTM3U\nself_m3u\n")


def _head(
    connection: socket.socket, kind: str = "audio/mpeg", *, status: str = "200 OK", more: str = "", version: str = "1.0"
) -> None:
    more = f"{more}\r\n" if more else ""
    connection.sendall(f"HTTP/{version} {status}\r\nContent-Type: {kind}\r\nicy-name: Test\r\n{more}\r\n".encode())


@contextlib.contextmanager
def faulty_station(mp3: bytes, aac: bytes = b"", ogg: bytes = b"") -> Iterator[FaultyStation]:
    """A station on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        station = FaultyStation(mp3, aac, ogg, port=server.getsockname()[1])
        threading.Thread(target=station.serve, args=(server,), daemon=True).start()
        try:
            yield station
        finally:
            station.stop()
            server.shutdown(socket.SHUT_RDWR)
