"""A station of every kind that Rolltape records."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.fresh import fresh
from tests.servers.hls import hls
from tests.servers.icecast import Icecast
from tests.servers.rtmp import rtmp, tls_in_front
from tests.servers.rtsp import rtsp
from tests.servers.srt import srt

ICECAST = {
    "mp3": (["-c:a", "libmp3lame", "-b:a", "128k", "-f", "mp3"], "audio/mpeg"),
    "aac": (["-c:a", "aac", "-b:a", "96k", "-f", "adts"], "audio/aac"),
    "vorbis": (["-c:a", "libvorbis", "-q:a", "5", "-f", "ogg"], "application/ogg"),
    "opus": (["-c:a", "libopus", "-b:a", "96k", "-f", "ogg"], "application/ogg"),
    "oggflac": (["-c:a", "flac", "-f", "ogg"], "application/ogg"),
}
FRESH = {  # Icecast would send whoever comes later a stream without its header
    "flac": (["-c:a", "flac", "-f", "flac"], "audio/flac"),
    "wav": (["-c:a", "pcm_s16le", "-f", "wav"], "audio/wav"),
}
KINDS = (*ICECAST, *FRESH, "hls", "hls-mp3", "rtmp", "rtmps", "rtsp-mp3", "rtsp-alaw", "srt")


@contextlib.contextmanager
def station(kind: str, icecast: Icecast, folder: Path) -> Iterator[str]:
    """The address of a station of this kind, until the block ends. The certificate of RTMPS is trusted by nobody."""
    with contextlib.ExitStack() as servers:
        if kind in ICECAST:
            codec, content_type = ICECAST[kind]
            servers.enter_context(icecast.source(f"kind-{kind}", codec, content_type))
            yield icecast.url(f"kind-{kind}")
        elif kind in FRESH:
            yield servers.enter_context(fresh(*FRESH[kind]))
        elif kind.startswith("hls"):
            (folder / "hls").mkdir()
            mp3 = ("-c:a", "libmp3lame", "-b:a", "128k")
            made = hls(folder / "hls", codec=mp3) if kind == "hls-mp3" else hls(folder / "hls")
            yield servers.enter_context(made)
        elif kind.startswith("rtmp"):
            url = servers.enter_context(rtmp(folder))
            if kind == "rtmps":
                port = servers.enter_context(tls_in_front(urlsplit(url).port or 0, folder))
                url = f"rtmps://localhost:{port}/live/radio"
            yield url
        elif kind == "srt":
            yield servers.enter_context(srt(folder))
        else:
            yield servers.enter_context(rtsp(folder, kind.removeprefix("rtsp-")))
