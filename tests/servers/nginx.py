"""nginx as a proxy in front of Rolltape, as docs/web.md sets it up."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import answers, free_port, program, running

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
  server {{
    listen 127.0.0.1:{port};
    location {prefix}/ {{
      proxy_pass http://127.0.0.1:{behind}{path};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_buffering off;
      client_max_body_size 12m;
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, behind: int, *, prefix: str, keeps_prefix: bool) -> Iterator[str]:
    """The address of a proxy that serves what listens on `behind` under `prefix`, passing the prefix on or not."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "nginx.conf"
    path = "" if keeps_prefix else "/"
    config.write_text(_CONFIG.format(folder=folder, port=port, behind=behind, prefix=prefix, path=path))
    command: list[str | Path] = [program("nginx"), "-c", config, "-p", folder, "-e", folder / "nginx.log"]
    with running(command, log=folder / "nginx-out.log", ready=lambda: answers(port)):
        yield f"http://127.0.0.1:{port}{prefix}"
