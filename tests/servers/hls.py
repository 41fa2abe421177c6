"""An HLS station: FFmpeg writes the segments, a plain HTTP server hands them out."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.servers.process import TONE, program, running, wait_until


@contextlib.contextmanager
def hls(
    folder: Path, *, segment: float = 1.0, codec: tuple[str, ...] = ("-c:a", "aac", "-b:a", "96k")
) -> Iterator[str]:
    """The address of a live HLS playlist with segments of `segment` seconds."""
    command = [
        program("ffmpeg"), "-nostdin", "-v", "error", "-re", *TONE,
        *codec, "-f", "hls", "-hls_time", str(segment), "-hls_list_size", "6",
        "-hls_flags", "delete_segments+omit_endlist", "radio.m3u8",
    ]  # fmt: skip
    with running(command, log=folder.parent / f"{folder.name}-hls.log", cwd=folder), static(folder) as port:
        wait_until(lambda: (folder / "radio2.ts").exists(), "three segments of HLS")
        yield f"http://127.0.0.1:{port}/radio.m3u8"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def static(folder: Path) -> Iterator[int]:
    """The port of an HTTP server for the files in `folder`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
