"""A TCP proxy that misbehaves: it cuts the line after so many bytes, or falls silent."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """`cut_after` is how many bytes of the server it lets through per connection, None for all."""

    port: int
    cut_after: int | None = None
    connections: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)

    def cut(self) -> None:
        """Cut every connection there is."""
        for pair in self.connections:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self.connections.clear()


@contextlib.contextmanager
def proxy(to_port: int, *, cut_after: int | None = None, host: str = "127.0.0.1") -> Iterator[Proxy]:
    """A proxy on `host` (an address of this machine) in front of `to_port` of 127.0.0.1, until the block ends."""
    with socket.create_server((host, 0)) as listener:
        made = Proxy(listener.getsockname()[1], cut_after)
        threading.Thread(target=_accept, args=(listener, to_port, made), daemon=True).start()
        try:
            yield made
        finally:
            made.cut()
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, to_port: int, made: Proxy) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", to_port))
        made.connections.append((client, server))
        for source, sink, limit in ((client, server, None), (server, client, made.cut_after)):
            threading.Thread(target=_pump, args=(source, sink, limit), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, limit: int | None) -> None:
    left = limit
    with contextlib.suppress(OSError):
        while left != 0:
            data = source.recv(65536 if left is None else min(left, 65536))
            if not data:
                break
            sink.sendall(data)
            left = None if left is None else left - len(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        if limit is not None or end is source:
            continue
    source.close()
