"""A web server of a stranger: each path answers with what the test put there; and one that must not be asked at all."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hostile:
    """`answers` are bodies, or addresses to redirect to (a `str`), or functions that write themselves; `asked` are the
    paths that were asked for."""

    host: str
    port: int
    answers: dict[str, bytes | str | Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    def url(self, path: str = "") -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/{path}"


@contextlib.contextmanager
def hostile(host: str = "127.0.0.1", port: int = 0) -> Iterator[Hostile]:
    """A server until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            path = self.path.partition("?")[0].lstrip("/")
            made.asked.append(path)
            made.heads.append(str(self.headers))
            answer = made.answers.get(path)
            with contextlib.suppress(OSError):
                if callable(answer):
                    answer(self)
                elif isinstance(answer, str):
                    self.send_response(302)
                    self.send_header("Location", answer)
                    self.end_headers()
                elif answer is None:
                    self.send_error(404)
                else:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

        do_CONNECT = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    made = Hostile(host, server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
