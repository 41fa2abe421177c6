"""What the application does before the first request."""

import asyncio
import socket

from rolltape.app import _listen
from tests.servers.process import free_port


async def test_answers_leave_at_once():
    found: list[int] = []

    def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    port = free_port()
    server = await asyncio.start_server(accepted, sock=_listen("127.0.0.1", port))
    async with server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.read()
        writer.close()

    assert found
    assert found[0] != 0
