"""A station that begins its stream anew for each listener, with a header of its own: WAV and FLAC need one."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.servers.process import end, program


@contextlib.contextmanager
def fresh(codec: Sequence[str], content_type: str) -> Iterator[str]:
    """The address of the station, until the block ends. `codec` are FFmpeg's output options with the format."""
    command = [
        program("ffmpeg"), "-nostdin", "-v", "error", "-re", "-f", "lavfi",
        "-i", "sine=frequency=440:sample_rate=44100", *codec, "-flush_packets", "1", "pipe:1",
    ]  # fmt: skip

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            encoder = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
            assert encoder.stdout is not None
            try:
                with contextlib.suppress(ConnectionError):
                    while chunk := encoder.stdout.read1(65536):  # type: ignore[attr-defined]
                        self.wfile.write(chunk)
            finally:
                end(encoder)
                encoder.stdout.close()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/live"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
