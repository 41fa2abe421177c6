"""Stations that send a known stream in real time: an HTTP server with any burst, and a source for Icecast."""

import base64
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.known_stream import KnownStream, OnAir, Stretch
from tests.servers.icecast import Icecast
from tests.servers.process import wait_until

BEAT = 0.02  # s between two looks at the clock
PATIENCE = 0.2  # s until a source tries again


@dataclass
class KnownStation:
    """An HTTP server. Whoever connects gets the last `burst` bytes at once, wherever a frame begins, and what follows.

    While `is_down`, connections are closed as soon as they are made. `visits` is how many were made. What it sends is
    `behind` what is on the air, in seconds.
    """

    air: OnAir
    burst: int
    behind: float = 0
    port: int = 0
    is_down: bool = False
    visits: int = 0
    _clients: set[socket.socket] = field(default_factory=set)
    _stalled: set[socket.socket] = field(default_factory=set)
    _is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/known"

    def cut(self, *, reset: bool = False) -> None:
        """End all connections, or reset them."""
        for client in list(self._clients):
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with contextlib.suppress(OSError):
                    client.close()
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self._is_over.set()
        self.cut()

    def stall(self) -> None:
        """Send nothing more on the connections there are; new ones are served."""
        self._stalled |= self._clients

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.visits += 1
            if self.is_down:
                client.close()
                continue
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        self._clients.add(client)
        try:
            with client, contextlib.suppress(OSError):
                request = b""
                while b"\r\n\r\n" not in request:
                    data = client.recv(4096)
                    if not data:
                        return
                    request += data
                head = f"HTTP/1.0 200 OK\r\nContent-Type: {self.air.stream.content_type}\r\nicy-name: Known\r\n\r\n"
                client.sendall(head.encode())
                self._play(client)
        finally:
            self._clients.discard(client)
            self._stalled.discard(client)

    def _play(self, client: socket.socket) -> None:
        stream = self.air.stream
        sent = max(0, self._out() - self.burst)
        while not self._is_over.is_set():
            out = self._out()
            if out > sent and client not in self._stalled:
                client.sendall(stream.cut(sent, out))
                sent = out
            time.sleep(BEAT)

    def _out(self) -> int:
        """How many bytes have been on the air here."""
        return self.air.stream.position(self.air.number(time.monotonic() - self.behind))


@contextlib.contextmanager
def known_station(stream: KnownStream, *, burst: int = 65536) -> Iterator[KnownStation]:
    """`stream` on the air for as long already as its burst lasts, until the block ends."""
    with another_station(OnAir(stream, time.monotonic() - burst / stream.bytes_per_second - 1), burst=burst) as station:
        yield station


@contextlib.contextmanager
def another_station(air: OnAir, *, burst: int = 65536, behind: float = 0) -> Iterator[KnownStation]:
    """A server of what is on the air already."""
    station = KnownStation(air, burst, behind)
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        station.port = listener.getsockname()[1]
        threading.Thread(target=station.serve, args=(listener,), daemon=True).start()
        try:
            yield station
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            station.stop()


class IcecastSource:
    """Sends a known stream to a mount of an Icecast, and connects again when it is thrown out.

    What sounds while it is away is sent to nobody; `air.unsent` has it.
    """

    def __init__(self, air: OnAir, port: int, mount: str) -> None:
        self.air = air
        self._port = port
        self._mount = mount
        self._is_over = threading.Event()
        self._is_away = threading.Event()
        self._sent: int | None = None  # until here; None before the first time
        self.is_connected = False

    def leave(self) -> None:
        """End the connection, until `come_back`."""
        self._is_away.set()
        wait_until(lambda: not self.is_connected, "the source being gone")

    def come_back(self) -> None:
        self._is_away.clear()

    def stop(self) -> None:
        self._is_over.set()

    def run(self) -> None:
        while not self._is_over.is_set():
            if not self._is_away.is_set():
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5) as server:
                    self._feed(server)
                self.is_connected = False
            self._is_over.wait(BEAT if self._is_away.is_set() else PATIENCE)

    def _feed(self, server: socket.socket) -> None:
        login = base64.b64encode(b"source:source").decode()
        server.sendall(
            f"SOURCE /{self._mount} HTTP/1.0\r\nAuthorization: Basic {login}\r\nice-name: Known\r\n"
            f"Content-Type: {self.air.stream.content_type}\r\n\r\n".encode()
        )
        if b"200" not in server.recv(1000):
            return
        now = self.air.number()
        if self._sent is not None and now > self._sent:
            self.air.unsent.append(Stretch(self._sent, now - self._sent))
        sent = self._sent = now
        self.is_connected = True
        while not self._is_over.is_set() and not self._is_away.is_set():
            now = self.air.number()
            if now > sent:
                server.sendall(self.air.stream.audio(sent, now))
                sent = self._sent = now
            time.sleep(BEAT)


@contextlib.contextmanager
def icecast_source(stream: KnownStream, server: Icecast, mount: str) -> Iterator[IcecastSource]:
    """`stream` on a mount of an Icecast, until the block ends."""
    source = IcecastSource(OnAir(stream), server.port, mount)
    thread = threading.Thread(target=source.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: source.is_connected and server.has(mount), f"a source on {mount}")
        yield source
    finally:
        source.stop()
        thread.join(10)
