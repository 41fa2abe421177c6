"""Behind the proxies of docs/deployment.md, with https and a name of its own."""

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import urlsplit

import httpx2
import pytest
from PIL import Image

from tests.e2e.conftest import NAME as LISTENER
from tests.e2e.conftest import PASSWORD
from tests.e2e.proxies import DOCUMENT, KINDS, NAME, secure_proxy
from tests.servers.rolltape import Rolltape, rolltape

AT_ONCE = 3.0  # s; what a proxy holds back comes later, or never
LARGE = 9_500_000  # bytes; a cover may have 10 MB


def settings() -> dict[str, str]:
    """What the document tells to set. A path is left out."""
    (block,) = re.findall(r"^```ini\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"^(ROLLTAPE_\w+)=(\S*)", block, re.MULTILINE))


@dataclass
class Proxied:
    """A Rolltape behind a proxy, and a browser (without scripts) in front of it."""

    service: Rolltape
    port: int

    @property
    def origin(self) -> str:
        return f"https://{NAME}:{self.port}"

    def browser(self, *, with_token: bool = False) -> httpx2.Client:
        headers = {"Host": f"{NAME}:{self.port}"}
        headers |= {"Authorization": f"Bearer {self.service.token}"} if with_token else {"Origin": self.origin}
        # The name is not in any name server, and the certificate is of the proxy's own making.
        return httpx2.Client(base_url=f"https://127.0.0.1:{self.port}", headers=headers, verify=False, timeout=20)

    @property
    def as_named(self) -> dict[str, str]:
        """What lets the proxy choose its certificate by the name."""
        return {"sni_hostname": NAME}


@pytest.fixture(params=KINDS, scope="module")
def proxied(
    tmp_path_factory: pytest.TempPathFactory, mp3_station: str, request: pytest.FixtureRequest
) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp(request.param)
    allowed = urlsplit(mp3_station).netloc
    with (
        rolltape(folder / "rolltape", **settings(), ROLLTAPE_ALLOW_TARGETS=allowed) as service,
        secure_proxy(request.param, folder / "proxy", service.port) as port,
    ):
        yield Proxied(service, port)


def test_signing_in_by_a_form_makes_a_secure_cookie(proxied: Proxied) -> None:
    proxied.service.add_account(LISTENER, PASSWORD)
    with proxied.browser() as browser:
        told = browser.post("/login", data={"name": LISTENER, "password": PASSWORD}, extensions=proxied.as_named)
        cookie = told.headers["set-cookie"]
        page = browser.get("/", headers={"Cookie": cookie.split(";")[0]}, extensions=proxied.as_named)

    assert told.status_code == 303, told.text
    assert "; secure" in cookie.lower()
    assert page.status_code == 200


def test_a_form_of_another_site_is_refused(proxied: Proxied) -> None:
    with proxied.browser() as browser:
        told = browser.post("/login", headers={"Origin": "https://evil.example"}, extensions=proxied.as_named)

    assert told.status_code == 403


def test_changes_are_told_as_they_happen(proxied: Proxied) -> None:
    with (
        proxied.browser(with_token=True) as browser,
        browser.stream("GET", "/api/events", extensions=proxied.as_named) as events,
    ):
        lines = events.iter_lines()
        first = next(line for line in lines if line.startswith("data:"))
        began = time.monotonic()
        proxied.service.add_stream("http://radio.example/live")
        second = next(line for line in lines if line.startswith("data:"))

    assert json.loads(first.removeprefix("data:"))["topics"] == []
    assert "streams" in json.loads(second.removeprefix("data:"))["topics"]
    assert time.monotonic() - began < AT_ONCE


def test_a_running_recording_is_heard_as_it_comes(proxied: Proxied, mp3_station: str) -> None:
    stream = proxied.service.add_stream(mp3_station)
    session = proxied.service.call("POST", "/api/sessions", json={"stream_id": stream, "duration": 60})["id"]
    proxied.service.wait_until_session(session, lambda found: found["recorded"] > 2)
    heard, began = 0, time.monotonic()
    with (
        proxied.browser(with_token=True) as browser,
        browser.stream("GET", f"/api/sessions/{session}/listen", extensions=proxied.as_named) as sound,
    ):
        for part in sound.iter_raw():
            heard += len(part)
            if heard > 20_000:
                break

    assert sound.status_code == 200
    assert time.monotonic() - began < AT_ONCE
    proxied.service.call("POST", f"/api/sessions/{session}/cancel")


def test_large_covers_go_up_and_come_down(proxied: Proxied) -> None:
    cover = large_cover()
    stream = proxied.service.add_stream("http://radio.example/live")
    with proxied.browser(with_token=True) as browser:
        put = browser.put(
            f"/api/streams/{stream}/artwork", files={"file": ("a.png", cover)}, extensions=proxied.as_named
        )
        got = browser.get(f"/api/streams/{stream}/artwork", extensions=proxied.as_named)

    assert len(cover) > LARGE
    assert put.status_code == 204, put.text
    assert got.content == cover


def test_a_name_that_is_not_listed_is_told_how_to_be(proxied: Proxied) -> None:
    answer = proxied.service.request("GET", "/api/streams", headers={"Host": "elsewhere.example.org"})

    assert answer.status_code == 421
    assert "ROLLTAPE_ALLOWED_HOSTS" in answer.text


def large_cover() -> bytes:
    """A picture of almost 10 MB: noise cannot be made smaller."""
    picture = Image.frombytes("RGB", (1800, 1780), os.urandom(1800 * 1780 * 3))
    file = BytesIO()
    picture.save(file, "PNG", compress_level=0)
    return file.getvalue()
