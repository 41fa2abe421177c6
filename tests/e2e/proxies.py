"""The proxies of docs/deployment.md, with ports of their own."""

import contextlib
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers.caddy import caddy
from tests.servers.nginx import nginx
from tests.servers.process import free_port, program, wait_until

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "deployment.md"
NAME = "radio.example.org"  # of the examples
KINDS = ("nginx", "caddy")


def example(kind: str, *, has_prefix: bool) -> str:
    """The block of the document for a proxy: the first is for a name of its own, the second for a path."""
    own, under_a_path = re.findall(rf"^```{kind}\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    found: str = under_a_path if has_prefix else own
    return found


@contextlib.contextmanager
def secure_proxy(kind: str, folder: Path, behind: int) -> Iterator[int]:
    """The port of a proxy with https that serves what listens on `behind` under the name of the examples."""
    folder.mkdir(parents=True)
    port = free_port()
    text = _with_ports(example(kind, has_prefix=False), behind)
    if kind == "caddy":
        text = text.replace(NAME, f"https://{NAME}:{port}", 1)
    else:
        certificate, key = make_certificate(folder)
        text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        text = text.replace(f"/etc/ssl/{NAME}.pem", str(certificate)).replace(f"/etc/ssl/{NAME}.key", str(key))
    with _running(kind, folder, text, port):
        wait_until(lambda: _greets(port), "the proxy having its certificate")
        yield port


@contextlib.contextmanager
def proxy_under_a_path(kind: str, folder: Path, behind: int, *, keeps_prefix: bool) -> Iterator[str]:
    """The address of a proxy that serves what listens on `behind` under /radio, passing the path on or not."""
    folder.mkdir(parents=True)
    port = free_port()
    text = _with_ports(example(kind, has_prefix=True), behind)
    if kind == "caddy":
        text = text.replace(NAME, f"http://127.0.0.1:{port}", 1)
        text = text if keeps_prefix else text.replace("handle /radio/*", "handle_path /radio/*")
    else:
        text = text if keeps_prefix else text.replace(f"127.0.0.1:{behind};", f"127.0.0.1:{behind}/;")
        text = f"server {{ listen 127.0.0.1:{port}; {text} }}"
    with _running(kind, folder, text, port):
        yield f"http://127.0.0.1:{port}/radio"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for the name of the examples, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [
        program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", f"/CN={NAME}", "-days", "2", "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def _greets(port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname=NAME),
        ):
            return True
    except OSError:
        return False


def _with_ports(text: str, behind: int) -> str:
    assert "127.0.0.1:8666" in text
    return text.replace("127.0.0.1:8666", f"127.0.0.1:{behind}")


def _running(kind: str, folder: Path, text: str, port: int) -> contextlib.AbstractContextManager[None]:
    return {"nginx": nginx, "caddy": caddy}[kind](folder, text, port=port)
