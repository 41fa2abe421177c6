"""nginx as a proxy in front of Rolltape."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import answers, program, running

_CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {servers}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, servers: str, *, port: int) -> Iterator[None]:
    """An nginx with these `server` blocks, of which one listens on `port`, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, servers=servers))
    command: list[str | Path] = [program("nginx"), "-c", config, "-p", folder, "-e", folder / "nginx.log"]
    with running(command, log=folder / "nginx-out.log", ready=lambda: answers(port)):
        yield
