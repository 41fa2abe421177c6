"""A receiver of messages: it keeps what it is sent, and can misbehave. A thread of the tests."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request. Names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`behaviour` is what it does with a request: a status to answer with, or the name of a fault."""

    port: int = 0
    behaviour: int | str = 204
    elsewhere: str = "/elsewhere"  # where a redirect leads
    received: list[Received] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def target(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if isinstance(self.behaviour, int):
            handler.send_response(self.behaviour)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        with contextlib.suppress(OSError):
            getattr(self, f"_{self.behaviour}")(handler.connection)

    def _silent(self, connection: socket.socket) -> None:
        self._over.wait(30)

    def _endless_body(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while not self._over.is_set():
            connection.sendall(b"x" * 65536)

    def _endless_line(self, connection: socket.socket) -> None:
        while not self._over.is_set():
            connection.sendall(b"HTTP/1.1 200 " + b"x" * 65536)

    def _endless_continue(self, connection: socket.socket) -> None:
        while not self._over.is_set():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _drip(self, connection: socket.socket) -> None:
        while not self._over.wait(0.1):
            connection.sendall(b"H")

    def _hangs_up(self, connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    def _no_http(self, connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    def _redirect(self, connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {self.elsewhere}\r\n\r\n".encode())

    def _continue_first(self, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n")


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port of 127.0.0.1, until the block ends."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.received.append(Received(self.command, self.path, headers, self.rfile.read(length)))
            made.answer(self)

        do_GET = do_POST = _take

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None: ...

    server = Server(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made._over.set()
        server.shutdown()
        server.server_close()
        thread.join()
