"""The proxy for FFmpeg: who is let through, where to, and what becomes of heads that are too long."""

import asyncio
import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from rolltape.capture.proxy import Passage, Proxy
from rolltape.domain.address import Egress
from rolltape.domain.errors import SourceError
from tests.servers.hostile import Hostile, hostile
from tests.servers.process import free_port


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as server:
        server.answers["x"] = b"sound"
        yield server


def only(server: Hostile) -> Egress:
    return Egress(frozenset({("127.0.0.1", server.port)}))


async def ask(port: int, request: str) -> bytes:
    """All that the proxy answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.encode())
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def get(passage: Passage, url: str, *more: str, method: str = "GET") -> bytes:
    login = base64.b64encode(f"{passage.secret}:x".encode()).decode()
    lines = [f"{method} {url} HTTP/1.1", "Host: a", f"Proxy-Authorization: Basic {login}", *more, "", ""]
    return await ask(passage.port, "\r\n".join(lines))


async def test_with_a_passage_an_answer_comes_through(server: Hostile) -> None:
    with Proxy().passage(only(server), may_be_local=True) as passage:
        answer = await get(
            passage, server.url("x?a=b"), "X-A: b", "Proxy-Connection: keep-alive", "Connection: keep-alive"
        )

    assert answer.startswith(b"HTTP/1.0 200 OK\r\n")
    assert answer.endswith(b"\r\nConnection: close\r\n\r\nsound")
    assert server.asked == ["x"]
    assert "X-A: b" in server.heads[0]
    assert "Proxy" not in server.heads[0]
    assert server.heads[0].count("Connection:") == 1


@pytest.mark.parametrize(
    "login", ["", "Proxy-Authorization: Basic bm9ib2R5Ong=\r\n", "Proxy-Authorization: Bearer x\r\n",
              "Proxy-Authorization: Basic %%%\r\n"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_without_one_nothing_does(server: Hostile, login: str, method: str) -> None:
    target = server.url("x") if method == "GET" else f"127.0.0.1:{server.port}"
    with Proxy().passage(only(server), may_be_local=True) as passage:
        answer = await ask(passage.port, f"{method} {target} HTTP/1.1\r\nHost: a\r\n{login}\r\n")

    assert answer == b"" or answer.startswith(b"HTTP/1.1 407 ")
    assert server.asked == []


async def test_a_passage_is_of_no_use_when_its_time_is_over(server: Hostile) -> None:
    proxy = Proxy()
    with proxy.passage(only(server), may_be_local=True) as other:
        with proxy.passage(only(server), may_be_local=True) as passage:
            pass
        passage.port = other.port

        answer = await get(passage, server.url("x"))

    assert answer.startswith(b"HTTP/1.1 407 ")
    assert server.asked == []


async def test_nobody_listens_while_nobody_has_a_passage(server: Hostile) -> None:
    with Proxy().passage(only(server), may_be_local=True) as passage:
        pass

    with pytest.raises(ConnectionRefusedError):
        await ask(passage.port, "GET / HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_each_passage_has_its_own_rules(server: Hostile, method: str) -> None:
    proxy, told = Proxy(), list[SourceError]()
    target = server.url("x") if method == "GET" else f"127.0.0.1:{server.port}"
    with (
        proxy.passage(Egress(), may_be_local=True, refused=told.append) as strict,
        proxy.passage(only(server), may_be_local=True) as lenient,
    ):
        refused = [await get(strict, target, method=method) for _ in range(2)]
        let_through = asyncio.create_task(get(lenient, target, method=method))
        if method == "GET":
            assert b"200 OK" in await let_through

    assert strict.port == lenient.port
    assert all(answer.startswith(b"HTTP/1.1 403 ") for answer in refused)
    assert [failure.code for failure in told] == ["egress_refused"]  # once
    assert strict.failure is not None
    assert f"ROLLTAPE_ALLOW_TARGETS=127.0.0.1:{server.port}" in strict.failure.message
    let_through.cancel()


async def test_what_was_public_leads_to_no_other_service() -> None:
    with Proxy().passage(Egress(), may_be_local=False) as passage:
        answer = await get(passage, "1.1.1.1:25", method="CONNECT")

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert passage.failure is not None
    assert "port 25 of 1.1.1.1, which is none of a radio station" in passage.failure.message


async def test_a_tunnel_carries_both_ways_until_one_end_closes() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    proxy = Proxy()
    with proxy.passage(Egress(unrestricted=True), may_be_local=True) as passage:
        login = base64.b64encode(f"{passage.secret}:x".encode()).decode()
        reader, writer = await asyncio.open_connection("127.0.0.1", passage.port)
        writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nProxy-Authorization: Basic {login}\r\n\r\nhello\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        line = await reader.readline()

    rest = await reader.read()
    writer.close()
    server.close()
    await server.wait_closed()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert (line, rest) == (b"hello\n", b"")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("POST http://127.0.0.1:{port}/x HTTP/1.1", b"405"),
        ("GET /x HTTP/1.1", b"400"),
        ("GET https://127.0.0.1:{port}/x HTTP/1.1", b"400"),
        ("GET http://127.0.0.1:99999/x HTTP/1.1", b""),
        ("GET http://\xff/x HTTP/1.1", b"502"),
        ("nonsense", b"405"),
    ],
)
async def test_what_ffmpeg_does_not_ask_is_not_answered(server: Hostile, request_line: str, status: bytes) -> None:
    with Proxy().passage(only(server), may_be_local=True) as passage:
        login = base64.b64encode(f"{passage.secret}:x".encode()).decode()
        head = f"{request_line.format(port=server.port)}\r\nProxy-Authorization: Basic {login}\r\n\r\n"
        answer = await ask(passage.port, head)

    assert answer.split(b" ")[1:2] == ([status] if status else [])
    assert server.asked == []


async def test_a_head_without_end_is_cut_off_on_either_side(server: Hostile) -> None:
    def endless(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            request.wfile.write(b"X-A: " + b"b" * 4000 + b"\r\n")

    def mail(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"220 mail ready\r\n\r\n")

    server.answers |= {"endless": endless, "mail": mail}
    with Proxy().passage(only(server), may_be_local=True) as passage:
        ours = await ask(passage.port, "GET / HTTP/1.1\r\n" + "X-A: b\r\n" * 20_000)
        theirs = [await get(passage, server.url(path)) for path in ("endless", "mail")]

    assert ours == b""
    assert all(answer.startswith(b"HTTP/1.1 502 ") for answer in theirs)
    assert passage.failure is not None
    assert passage.failure.code == "no_http"


async def test_a_server_that_is_not_there_has_its_sentence() -> None:
    port = free_port()
    with Proxy().passage(Egress(unrestricted=True), may_be_local=True) as passage:
        answer = await get(passage, f"http://127.0.0.1:{port}/")

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert passage.failure is not None
    assert passage.failure.code == "connect_refused"
