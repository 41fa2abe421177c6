"""Messages by Apprise, a library that knows some two hundred services.

It runs as a child process: what blocks can be ended, its memory goes with it, its log goes nowhere, and it cannot
reach what it should not (see `apprise_child`).
"""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

from rolltape.domain.address import Egress
from rolltape.domain.errors import ChannelError
from rolltape.domain.units import Seconds

PATIENCE = Seconds(60)  # for all servers of a service together; mail takes its time
MOST_AT_ONCE = 2  # children; each takes a processor for a second, and 60 MB
_CHILD = Path(__file__).with_name("apprise_child.py")
_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": "/nonexistent"}  # no proxies, no secrets


class Apprise:
    def __init__(self, egress: Egress, *, patience: Seconds = PATIENCE) -> None:
        self._egress = egress
        self._patience = patience
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def send(self, address: str, title: str, text: str) -> None:
        """Tell `address`.

        Raises:
            ChannelError: it did not arrive; the message has nothing of the address in it.
        """
        question = {
            "address": address,
            "title": title,
            "text": text,
            "allowed": sorted(self._egress.allowed),
            "unrestricted": self._egress.unrestricted,
            "patience": self._patience,
        }
        async with self._room:
            answer = await self._ask(json.dumps(question).encode())
        if answer != "":
            raise ChannelError(answer)

    async def _ask(self, question: bytes) -> str:
        """What is wrong, as the child says; "" for nothing."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_CHILD), cwd="/", env=_ENVIRONMENT, start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._patience):
                output, _ = await child.communicate(question)
        except TimeoutError as exc:
            raise ChannelError(f"The service did not take it within {self._patience:.0f} s.") from exc
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        try:
            return str(json.loads(output)["problem"])
        except (ValueError, KeyError, TypeError) as exc:
            raise ChannelError("Apprise ended without an answer.") from exc
