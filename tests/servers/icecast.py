"""A real Icecast, and sources that feed it in real time."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from urllib.error import URLError
from urllib.request import urlopen

from tests.servers.process import answers, free_port, program, running, wait_until

THREADS = 4  # of an Icecast that is up
_CONFIG = """
<icecast>
  <hostname>localhost</hostname>
  <limits>
    <clients>2000</clients><sources>60</sources><queue-size>2097152</queue-size>
    <client-timeout>30</client-timeout><header-timeout>15</header-timeout><source-timeout>10</source-timeout>
    <burst-on-connect>1</burst-on-connect><burst-size>{burst}</burst-size>
  </limits>
  <authentication>
    <source-password>source</source-password><relay-password>relay</relay-password>
    <admin-user>admin</admin-user><admin-password>admin</admin-password>
  </authentication>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <fileserve>0</fileserve>
  <paths>
    <basedir>{folder}</basedir><logdir>{folder}</logdir>
    <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
  </paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>3</loglevel></logging>
  <security><chroot>0</chroot><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
</icecast>
"""


@dataclass(frozen=True)
class Icecast:
    port: int
    folder: Path

    def url(self, mount: str) -> str:
        return f"http://127.0.0.1:{self.port}/{mount}"

    @contextlib.contextmanager
    def source(
        self, mount: str, codec: list[str], content_type: str, *, audio: str | None = None, title: str = ""
    ) -> Iterator["Popen[bytes]"]:
        """Feed `mount` with a tone (or the FFmpeg source named by `audio`), encoded by `codec`, in real time.

        `codec` are FFmpeg's output options with the format, e.g. `["-c:a", "libmp3lame", "-b:a", "128k", "-f", "mp3"]`.
        """
        command = [
            program("ffmpeg"), "-nostdin", "-v", "error", "-re", "-f", "lavfi",
            "-i", audio or "sine=frequency=440:sample_rate=44100",
            *codec, "-flush_packets", "1", "-content_type", content_type,
            "-ice_name", "Test Radio", "-ice_genre", "Test",
            f"icecast://source:source@127.0.0.1:{self.port}/{mount}",
        ]  # fmt: skip
        with running(command, log=self.folder / f"source-{mount.replace('/', '-')}.log") as process:
            wait_until(lambda: self.has(mount), f"a source on {mount}")
            if title:
                self.set_title(mount, title)
            yield process

    def mp3(self, mount: str = "live.mp3", **more: str) -> "contextlib.AbstractContextManager[Popen[bytes]]":
        """The usual source: 128 kbit/s MP3."""
        return self.source(mount, ["-c:a", "libmp3lame", "-b:a", "128k", "-f", "mp3"], "audio/mpeg", **more)

    def has(self, mount: str) -> bool:
        """Whether there is a source on `mount` and it sends."""
        try:
            with urlopen(self.url(mount), timeout=5) as answer:
                return bool(answer.read(1))
        except (URLError, OSError):
            return False

    def set_title(self, mount: str, title: str) -> None:
        from base64 import b64encode
        from urllib.parse import urlencode
        from urllib.request import Request

        query = urlencode({"mount": f"/{mount}", "mode": "updinfo", "song": title, "charset": "UTF-8"})
        login = b64encode(b"admin:admin").decode()
        request = Request(self.url(f"admin/metadata?{query}"), headers={"Authorization": f"Basic {login}"})
        with urlopen(request, timeout=5) as answer:
            assert answer.status == 200


@contextlib.contextmanager
def icecast(folder: Path, *, port: int | None = None, burst: int = 65535) -> Iterator[Icecast]:
    """An Icecast, until the block ends. `burst` is in bytes; `folder` is for its logs, where anyone may write."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
    # Icecast gives up root: every folder above has to let it through.
    for above in list(folder.parents)[:-1]:
        with contextlib.suppress(PermissionError):
            above.chmod(above.stat().st_mode | 0o011)
    server = Icecast(port or free_port(), folder)
    config = folder / "icecast.xml"
    config.write_text(_CONFIG.format(port=server.port, folder=folder, burst=burst))
    command: list[str | Path] = [program("icecast2"), "-c", config]
    with running(command, log=folder / "stdout.log", ready=lambda: answers(server.port)) as process:
        # It answers before its statistics have begun, and a request then makes it crash (2.4.4).
        wait_until(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) >= THREADS, "Icecast being up")
        yield server
