"""nginx with its RTMP module, and stunnel in front of it for RTMPS."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import TONE, answers, free_port, program, running

_NGINX = """
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
rtmp {{
  server {{
    listen 127.0.0.1:{port};
    chunk_size 4096;
    application live {{ live on; }}
  }}
}}
"""

_STUNNEL = """
foreground = yes
pid =
[rtmps]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{behind}
cert = {folder}/tls.pem
"""


@contextlib.contextmanager
def rtmp(folder: Path) -> Iterator[str]:
    """The address of an RTMP stream of AAC, fed in real time."""
    with rtmp_server(folder) as url, published(url, folder):
        yield url


@contextlib.contextmanager
def rtmp_server(folder: Path) -> Iterator[str]:
    """An address to which an RTMP stream can be published. Who listens stays when that ends."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port))
    url = f"rtmp://127.0.0.1:{port}/live/radio"
    command: list[str | Path] = [program("nginx"), "-c", config, "-p", folder, "-e", folder / "nginx.log"]
    with running(command, log=folder / "nginx-out.log", ready=lambda: answers(port)):
        yield url


@contextlib.contextmanager
def tls_in_front(port: int, folder: Path) -> Iterator[int]:
    """The port of a stunnel in front of `port`. Its certificate is signed by itself."""
    in_front = free_port()
    make_certificate(folder / "tls.pem")
    config = folder / "stunnel.conf"
    config.write_text(_STUNNEL.format(port=in_front, behind=port, folder=folder))
    with running([program("stunnel4"), config], log=folder / "stunnel.log", ready=lambda: answers(in_front)):
        yield in_front


def make_certificate(file: Path, *, days: int = 10) -> None:
    """A key and a certificate for localhost, signed by itself, in one file."""
    subprocess.run(
        [
            program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days),
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", file, "-out", file.with_suffix(".crt"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    file.write_bytes(file.read_bytes() + file.with_suffix(".crt").read_bytes())


@contextlib.contextmanager
def published(url: str, folder: Path) -> Iterator[None]:
    """AAC, sent there in real time until the block ends."""
    command = [
        program("ffmpeg"), "-nostdin", "-v", "error", "-re", *TONE,
        "-c:a", "aac", "-b:a", "96k", "-f", "flv", url,
    ]  # fmt: skip
    with running(command, log=folder / "feed.log"):
        yield
