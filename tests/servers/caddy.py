"""Caddy as a proxy in front of Rolltape, with certificates of its own making."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.servers.process import answers, program, running

# No certificates of the internet, nothing listening beside what the sites say, nothing installed on this machine.
_CONFIG = """
{{
	admin off
	local_certs
	skip_install_trust
	auto_https disable_redirects
}}
{sites}
"""


@contextlib.contextmanager
def caddy(folder: Path, sites: str, *, port: int) -> Iterator[None]:
    """A Caddy with these sites, of which one listens on `port`, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "Caddyfile"
    config.write_text(_CONFIG.format(sites=sites))
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]
    env = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with running(command, log=folder / "caddy.log", ready=lambda: answers(port), env=env):
        yield
