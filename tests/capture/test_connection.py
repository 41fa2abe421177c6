"""What comes by a connection, at once and in rounds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from rolltape.capture.connect import connect
from rolltape.capture.connection import Connection
from rolltape.domain.errors import SourceLost
from rolltape.domain.units import Seconds
from tests.capture.test_recorder import wait_for

PIECE = b"a piece of audio"
PIECES = 60
APART = 0.02  # s


@asynccontextmanager
async def server(*, pieces: int = PIECES, ends: bool = True) -> AsyncIterator[int]:
    """Sends pieces one by one, then closes the connection (or waits until the other side does); its port."""

    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
            for _ in range(pieces):
                writer.write(PIECE)
                await asyncio.sleep(APART)
            if not ends:
                await reader.read()
            writer.close()
            await writer.wait_closed()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as running:
        yield running.sockets[0].getsockname()[1]
        await served.wait()


async def opened(port: int) -> Connection:
    url = f"http://127.0.0.1:{port}/"
    made = await connect(lambda sock: Connection(sock, url, "the server"), "127.0.0.1", port, ["127.0.0.1"], None)
    await made.answer()
    return made


async def heard(connection: Connection, take: Callable[[bytes], None]) -> str:
    """Play to the end; why it ended."""
    with pytest.raises(SourceLost) as lost:
        await connection.play(take)
    return lost.value.code


async def test_as_it_comes_each_piece_is_taken_at_once() -> None:
    taken: list[bytes] = []
    async with server() as port:
        connection = await opened(port)
        assert await heard(connection, taken.append) == "closed"

    assert b"".join(taken) == PIECE * PIECES
    assert len(taken) > PIECES / 2


async def test_in_rounds_many_pieces_are_taken_at_once_and_none_is_left() -> None:
    taken: list[bytes] = []
    async with server() as port:
        connection = await opened(port)
        connection.gather(len(PIECE) * 15, Seconds(15 * APART))
        assert await heard(connection, taken.append) == "closed"

    assert b"".join(taken) == PIECE * PIECES
    assert len(taken) < PIECES / 3


async def test_what_nobody_expected_does_not_wait_for_its_round() -> None:
    taken: list[bytes] = []
    async with server(ends=False) as port:
        connection = await opened(port)
        connection.gather(len(PIECE), Seconds(3600))
        playing = asyncio.create_task(connection.play(taken.append))
        await wait_for(lambda: sum(map(len, taken)) > len(PIECE) * PIECES / 2)
        connection.close()
        await asyncio.wait([playing])

    assert isinstance(playing.exception(), SourceLost)


async def test_what_waits_for_its_round_is_there_when_it_is_wanted_now() -> None:
    taken: list[bytes] = []
    async with server(pieces=3, ends=False) as port:
        connection = await opened(port)
        playing = asyncio.create_task(connection.play(taken.append))
        connection.gather(len(PIECE) * 1000, Seconds(3600))
        await wait_for(lambda: taken)  # the first look is at once
        await asyncio.sleep(4 * APART)  # the other pieces come, and wait
        waited = sum(map(len, taken))
        connection.gather(0, Seconds(0))
        await wait_for(lambda: b"".join(taken) == PIECE * 3)
        connection.close()
        await asyncio.wait([playing])

    assert waited < len(PIECE) * 3
    assert isinstance(playing.exception(), SourceLost)


async def test_the_end_does_not_wait_for_a_round() -> None:
    taken: list[bytes] = []
    async with server(pieces=3) as port:
        connection = await opened(port)
        connection.gather(len(PIECE) * 1000, Seconds(3600))
        async with asyncio.timeout(15):
            assert await heard(connection, taken.append) == "closed"

    assert b"".join(taken) == PIECE * 3
