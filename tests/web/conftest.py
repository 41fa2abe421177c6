"""The application, asked without a network."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from rolltape import web
from rolltape.store import Database
from tests.services.conftest import Bench, build

PASSWORD = "correct horse"
COOKIE = "rolltape_8666"  # of a service on the usual port


@dataclass
class Client:
    """Asks the application; with a token unless told otherwise."""

    bench: Bench
    app: Any
    token: str

    async def request(self, method: str, path: str, *, token: bool = True, **more: Any) -> httpx2.Response:
        headers = dict(more.pop("headers", {}))
        if token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://rolltape") as client:
            return await client.request(method, path, headers=headers, **more)

    async def call(self, method: str, path: str, *, expect: int | None = None, **more: Any) -> Any:
        answer = await self.request(method, path, **more)
        wanted = {expect} if expect else {200, 201, 204}
        assert answer.status_code in wanted, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def refused(self, method: str, path: str, **more: Any) -> dict[str, str]:
        """The fields that a request was refused for, each with its sentence."""
        if "json" in more:  # as ASCII: a lone surrogate can be said in JSON, but not be sent in UTF-8
            more |= {"content": json.dumps(more.pop("json")), "headers": {"Content-Type": "application/json"}}
        answer = await self.call(method, path, expect=422, **more)
        fields: dict[str, str] = answer["error"]["fields"]
        assert answer["error"]["message"]
        assert all(sentence.endswith((".", ")")) for sentence in fields.values()), fields
        return fields


@pytest.fixture
async def client(sqlite_url: str, tmp_path: Path, ffmpeg: str) -> AsyncIterator[Client]:
    database = Database(sqlite_url)
    bench = build(database, tmp_path, ffmpeg)
    token = await bench.services.tokens.create("tests")
    yield Client(bench, web.create(bench.services, allowed_hosts=["radio.example.org"]), token)
    await database.close()


class Browser(httpx2.AsyncClient):
    """A browser: it keeps cookies and sends its origin with forms. Redirects are looked at, not followed."""

    def __init__(self, app: Any, *, base_url: str = "http://rolltape", peer: str = "192.168.1.20") -> None:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False, client=(peer, 50000))
        super().__init__(transport=transport, base_url=base_url)
        self.origin = base_url

    async def submit(self, path: str, **fields: object) -> httpx2.Response:
        """Send a form."""
        return await self.post(path, data=fields, headers={"Origin": self.origin})


@pytest.fixture
async def stranger(client: Client) -> AsyncIterator[Browser]:
    """A browser that is not signed in."""
    async with Browser(client.app) as browser:
        yield browser


@pytest.fixture
async def browser(client: Client) -> AsyncIterator[Browser]:
    """A browser in which the account `listener` is signed in."""
    users = client.bench.services.users
    await users.create("listener", PASSWORD)
    async with Browser(client.app) as browser:
        cookie = await users.log_in("listener", PASSWORD, peer="192.168.1.20", agent="Tests", remember=False)
        browser.cookies.set(COOKIE, cookie)
        yield browser


@pytest.fixture
async def stream(client: Client) -> int:
    made = await client.call("POST", "/api/streams", json={"name": "Radio", "url": "http://radio.example/live"})
    number: int = made["id"]
    return number
