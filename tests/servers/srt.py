"""An SRT station: Debian's FFmpeg as a listener, which takes one listener and is started anew for the next."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import TONE, end, free_udp_port, program, running

_CODEC = ["-c:a", "aac", "-b:a", "96k", "-f", "mpegts"]


@contextlib.contextmanager
def srt(folder: Path) -> Iterator[str]:
    """The address of an SRT stream of AAC in MPEG-TS."""
    port = free_udp_port()
    stop = threading.Event()
    keeper = threading.Thread(target=_keep_listening, args=(port, folder, stop), daemon=True)
    keeper.start()
    try:
        yield f"srt://127.0.0.1:{port}"
    finally:
        stop.set()
        keeper.join(15)


def _keep_listening(port: int, folder: Path, stop: threading.Event) -> None:
    command = [
        program("ffmpeg"), "-nostdin", "-v", "error", "-re", *TONE,
        *_CODEC, f"srt://127.0.0.1:{port}?mode=listener",
    ]  # fmt: skip
    while not stop.is_set():
        with running(command, log=folder / "srt.log") as process:
            while process.poll() is None and not stop.wait(0.05):
                pass
            end(process)
