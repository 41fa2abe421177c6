"""What stations, servers and other sites say stays text, and does nothing in the browser of who reads it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Page, expect

from rolltape.transfer.shell import MARK
from rolltape.web.pages import PAGES
from tests.e2e.conftest import NAME, PASSWORD, add_destination
from tests.servers.chromium import Window, chromium
from tests.servers.faulty import HOSTILE, FaultyStation
from tests.servers.process import wait_until
from tests.servers.rolltape import Rolltape, rolltape
from tests.servers.sshd import Sshd, sshd

ALL_TITLES = 5  # s of a recording; the station tells four titles in two of them
# What a page must be free of: control characters and those that turn the direction of writing.
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
REFLECTING = (
    "/streams?text={}", "/schedules?text={}", "/schedules?state={}", "/sessions?text={}", "/sessions?from={}",
    "/sessions?state={}", "/schedules/week?zone={}", "/schedules/week?start={}", "/logs?text={}", "/logs?level={}",
    "/logs?component={}", "/transfers?state={}", "/streams?note={}", "/streams/new?url={}", "/sessions?after={}",
    "/login?next={}", "/login?next=javascript:alert(1)", "/{}", "/streams/{}",
)  # fmt: skip
NO_PAGES = ("/cover/", "/login", "/setup")
LOOK = """() => ({
    text: document.documentElement.textContent,
    events: [...document.querySelectorAll('*')].flatMap(one => [...one.attributes].map(said => said.name))
        .filter(name => name.startsWith('on')),
    scripts: [...document.scripts].map(one => one.src || 'inline')
        .filter(from => !from.startsWith(`${location.origin}/static/`)),
    strange: document.querySelectorAll('img[src="x"], iframe, object, embed, base, meta[http-equiv]').length,
    links: [...document.querySelectorAll('a[href], form[action]')].map(one => one.href || one.action)
        .filter(to => typeof to === 'string' && !to.startsWith(location.origin)),
})"""


@dataclass(frozen=True)
class World:
    """A Rolltape in which everything that can be called something is called `HOSTILE`."""

    service: Rolltape
    stream: int
    schedule: int
    session: int
    failed: int
    destination: int
    lost: int
    token: int
    channel: int
    backup: str

    def pages(self) -> list[str]:
        """The address of every page, and of those of the session that failed."""
        ids = {"stream_id": self.stream, "schedule_id": self.schedule, "session_id": self.session}
        ids |= {"destination_id": self.destination, "token_id": self.token, "channel_id": self.channel}
        found = [
            re.sub(r"{(\w+)}", lambda place: str(ids.get(place[1], self.backup)), path)
            for method, path, _ in PAGES
            if method == "GET" and not any(part in path for part in NO_PAGES)
        ]
        return [*found, "/setup/stream", f"/sessions/{self.failed}", f"/destinations/{self.lost}"]

    def telling(self) -> set[str]:
        """The pages on which the hostile text must be seen, for it is told there."""
        stream, session, destination = f"/streams/{self.stream}", f"/sessions/{self.session}", self.destination
        return {
            "/", "/streams", stream, f"{stream}/edit", f"{stream}/delete", "/schedules", "/schedules/week",
            "/schedules/new", f"/schedules/{self.schedule}/edit", f"/schedules/{self.schedule}/delete", "/sessions",
            session, f"{session}/delete", f"{session}/cancel", "/sessions/new", f"/sessions/{self.failed}",
            "/transfers", "/destinations", f"/destinations/{destination}", f"/destinations/{destination}/delete",
            f"/destinations/{self.lost}", "/system/account", f"/system/account/tokens/{self.token}/delete",
            "/system/notifications", f"/system/notifications/{self.channel}",
        }  # fmt: skip


@pytest.fixture
def mocker(tmp_path: Path) -> Iterator[Sshd]:
    """A server that greets with a hostile banner, and answers whatever is asked with a hostile line."""
    folder = tmp_path / "mocker"
    folder.mkdir()
    (folder / "banner").write_text(f"\x1b[31m\u202ebanner\n{HOSTILE}\n")
    answer = folder / "answer"
    answer.write_text(
        "#!/bin/sh\n"
        f'case "$SSH_ORIGINAL_COMMAND" in *{MARK}*) echo {MARK};; *) cat {folder / "banner"}; exit 1;; esac\n'
    )
    answer.chmod(0o755)
    with sshd(folder, config=[f"Banner {folder / 'banner'}", f"ForceCommand {answer}"], sftp=None) as running:
        yield running


@pytest.fixture
def world(tmp_path: Path, station: FaultyStation, server: Sshd, mocker: Sshd) -> Iterator[World]:
    keys = tmp_path / "rolltape" / "keys"
    keys.mkdir(parents=True)
    for name, of in (("id", server), ("mocked", mocker)):
        (keys / name).write_bytes((of.keys / "id").read_bytes())
        (keys / name).chmod(0o600)
    allowed = ",".join(f"127.0.0.1:{port}" for port in (station.port, server.port, mocker.port))
    with rolltape(
        tmp_path / "rolltape", ROLLTAPE_ALLOW_TARGETS=allowed, ROLLTAPE_CONFIG_DIR=str(keys), ROLLTAPE_LOG_LEVEL="debug"
    ) as service:
        service.add_account(NAME, PASSWORD)
        yield seeded(service, station, server, mocker)


def seeded(service: Rolltape, station: FaultyStation, server: Sshd, mocker: Sshd) -> World:
    """Everything by the ways that people and stations have."""
    folder = server.home / HOSTILE.replace("/", "")
    folder.mkdir()
    destination = add_destination(service, server, name=HOSTILE, directory=str(folder))
    lost = add_destination(service, mocker, name=f"{HOSTILE} mocked", key_file="mocked")
    tags = dict.fromkeys(("artist", "album", "album_artist", "genre"), HOSTILE)
    stream = service.add_stream(station.url("hostile"), name=HOSTILE, destination_ids=[destination, lost], **tags)
    fields = {"stream_id": stream, "name": HOSTILE, "cron": "0 9 * * *", "timezone": "UTC", "duration": 60}
    schedule = service.call("POST", "/api/schedules", json=fields)["id"]
    token = service.call("POST", "/api/tokens", json={"name": HOSTILE})["id"]
    missing = service.add_stream(
        f"{station.url('missing')}?{HOSTILE.replace(' ', '/')}", name="y" * 200, max_attempts=1
    )
    failed = record(service, missing)
    service.wait_for(failed)
    fields = {"name": HOSTILE, "kind": "webhook", "address": "https://hooks.example/rolltape"}
    channel = service.call("POST", "/api/channels", json=fields)["id"]
    backup = service.call("POST", "/api/backups")["name"]
    recording = record(service, stream)
    return World(service, stream, schedule, recording, failed, destination, lost, token, channel, backup)


def record(service: Rolltape, stream: int) -> int:
    fields = {"stream_id": stream, "duration": 600, "name": HOSTILE}
    number: int = service.call("POST", "/api/sessions", json=fields)["id"]
    return number


async def test_what_is_hostile_is_text_on_every_page(world: World) -> None:
    service = world.service
    async with chromium(service.url) as window:
        tab = await window.sign_in(NAME, PASSWORD)
        service.wait_until_session(world.session, lambda found: found["recorded"] > ALL_TITLES)
        for page in ("/", f"/sessions/{world.session}", f"/sessions/{world.session}/cancel"):
            await open_page(tab, service, page)
            assert HOSTILE in await inert(tab, page), page
        await tab.goto(f"{service.url}/")
        await expect(tab.locator(".running")).to_contain_text("Now: ")
        service.call("POST", f"/api/sessions/{world.session}/stop")
        service.wait_for(world.session, ("delivering", "done"))
        wait_until(lambda: is_told(world), "what the servers said about the transfers")

        for page in world.pages():
            await open_page(tab, service, page)
            text = await inert(tab, page)
            assert HOSTILE in text or page not in world.telling(), page
        for address in REFLECTING:
            await open_page(tab, service, address.format(quote(HOSTILE, safe="")))
            await inert(tab, address)

        await try_destination(tab, world)
        await try_address(tab, world)
        await hear_titles(tab, world)
        # Of a field for dates in which there is none, Chromium itself says so.
        window.notices.errors = [said for said in window.notices.errors if '"yyyy-MM-dd"' not in said]
        window.notices.assert_none()


def is_told(world: World) -> bool:
    found = world.service.session(world.session)["transfers"]
    return {one["state"] for one in found} == {"delivered", "waiting"}


async def open_page(tab: Page, service: Rolltape, address: str) -> None:
    await tab.goto(f"{service.url}{address}")
    await tab.evaluate("() => document.querySelectorAll('details').forEach(folded => { folded.open = true; })")


async def inert(tab: Page, where: str) -> str:
    """The text of a page on which nothing is that we did not put there."""
    found: dict[str, Any] = await tab.evaluate(LOOK)
    text: str = found.pop("text")
    assert found == {"events": [], "scripts": [], "strange": 0, "links": []}, where
    assert UNSEEN.findall(text) == [], where
    return text


async def try_destination(tab: Page, world: World) -> None:
    """What the server says when it is tried, and the form with what is no host."""
    await tab.goto(f"{world.service.url}/destinations/{world.lost}")
    await tab.click("text=Test it now")
    await expect(tab.locator("#trial")).to_contain_text(HOSTILE[:40])
    await inert(tab, "the trial")

    await tab.goto(f"{world.service.url}/destinations/{world.lost}/edit")
    for name in ("host", "user", "directory"):
        await tab.fill(f"#{name}", f"{HOSTILE}/..")
    await tab.click("text=Save")
    for name in ("host", "user", "directory"):
        await expect(tab.locator(f"#{name}-error")).to_be_visible()
        assert await tab.input_value(f"#{name}") == f"{HOSTILE}/.."
    await inert(tab, "the form of a destination")


async def try_address(tab: Page, world: World) -> None:
    """What the station calls itself when its address is tested, and what is said of an address that is none."""
    await tab.goto(f"{world.service.url}/streams/new")
    address = world.service.call("GET", f"/api/streams/{world.stream}")["url"]
    await tab.fill("#url", address)
    await tab.click("text=Test the address")
    await expect(tab.locator("#probe")).to_contain_text("It works.")
    assert await tab.input_value("#name") == HOSTILE
    await expect(tab.locator("#preview")).to_contain_text(HOSTILE)
    await inert(tab, "the form of a stream")

    await tab.fill("#url", f"javascript:{HOSTILE}")
    await tab.click("text=Test the address")
    await expect(tab.locator("#probe .bad")).to_be_visible()
    await inert(tab, "the form with a bad address")


async def hear_titles(tab: Page, world: World) -> None:
    """The player writes the titles with a script of its own."""
    await open_page(tab, world.service, f"/sessions/{world.session}")
    title = tab.locator("#titles li", has_text="onerror").last
    await title.locator("a.seek").click()
    await expect(tab.locator("#heard")).to_contain_text(f"On the air: {HOSTILE}")
    await inert(tab, "the player")


def test_names_that_cannot_be_shown_are_not_taken(service: Rolltape) -> None:
    for name in ("\u202edesrever", "a\x1b[31mb", "a\nb", "a\x00b", "x" * 201, "x" * 100_000):
        answer = service.request("POST", "/api/streams", json={"name": name, "url": "http://radio.example/"})

        assert answer.status_code == 422, name
        assert answer.json()["error"]["fields"]["name"].endswith("."), name
    assert service.call("GET", "/api/streams")["items"] == []


# Pages of other sites

FORMS = """<!doctype html><title>Elsewhere</title>
<iframe name="sink"></iframe>
<iframe id="framed" src="{home}/"></iframe>
<form id="logout" target="sink" method="post" action="{home}/logout"></form>
<form id="delete" target="sink" method="post" action="{home}/streams/{stream}/delete"></form>
<form id="change" target="sink" method="post" action="{home}/streams/new">
<input name="name" value="Evil"><input name="url" value="http://radio.example/"></form>
<form id="json" target="sink" method="post" action="{home}/api/streams" enctype="text/plain">
<input name='{{"name": "Evil", "url": "http://radio.example/", "artist": "' value='"}}'></form>
<form id="cover" target="sink" method="post" action="{home}/streams/{stream}/cover" enctype="multipart/form-data">
<input type="file" name="file"></form>
"""
FETCH = """async ([address, method, kind]) => {
    const body = method === 'GET' ? undefined : JSON.stringify({name: 'Evil', url: 'http://radio.example/'});
    const more = {method, body, credentials: 'include', mode: kind ? 'no-cors' : 'cors',
                  headers: kind ? {'Content-Type': 'text/plain'} : {'Content-Type': 'application/json'}};
    try { const answer = await fetch(address, more); return `${answer.type} ${answer.status}`; }
    catch (error) { return 'refused'; }
}"""
LISTEN = """(address) => new Promise((done) => {
    const source = new EventSource(address, {withCredentials: true});
    source.onopen = () => done('open');
    source.onerror = () => { source.close(); done('refused'); };
})"""


@contextmanager
def elsewhere(folder: Path, page: str) -> Iterator[int]:
    """The port of another site on this machine, which has one page."""
    folder.mkdir()
    (folder / "index.html").write_text(page)
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        yield site.server_port
        site.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


async def test_a_page_of_another_site_changes_nothing_and_reads_nothing(
    service: Rolltape, window: Window, tmp_path: Path
) -> None:
    stream = service.add_stream("http://radio.example/", name="Harbour FM")
    before = service.call("GET", f"/api/streams/{stream}")
    with elsewhere(tmp_path / "site", FORMS.format(home=service.url, stream=stream)) as port:
        for host in ("127.0.0.1", "localhost"):  # the same site on another port, and another site
            tab = await window.context.new_page()  # not watched: what it is refused is told on its console
            await tab.goto(f"http://{host}:{port}/")
            await send_forms(tab, tmp_path / "site" / "index.html")
            await fetch_and_listen(tab, service, stream)
            framed = [frame.url for frame in tab.frames if frame.name != "sink" and frame != tab.main_frame]

            assert framed == ["chrome-error://chromewebdata/"]
            assert service.call("GET", "/api/streams")["items"] == [before]
    own = await window.tab("/streams")
    await expect(own.get_by_role("link", name="Harbour FM", exact=True)).to_be_visible()  # still signed in


async def send_forms(tab: Page, file: Path) -> None:
    await tab.set_input_files("#cover input", file)
    for form in ("logout", "delete", "change", "json", "cover"):
        async with tab.expect_response(lambda answer: answer.request.method == "POST") as answered:
            await tab.evaluate("form => document.getElementById(form).submit()", form)
        assert (await answered.value).status == 403, form


async def fetch_and_listen(tab: Page, service: Rolltape, stream: int) -> None:
    api = f"{service.url}/api/streams"
    for method, address, is_simple in (
        ("POST", api, True), ("POST", api, False), ("GET", api, False), ("DELETE", f"{api}/{stream}", False),
        ("POST", f"{service.url}/streams/{stream}/delete", True),
    ):  # fmt: skip
        told = await tab.evaluate(FETCH, [address, method, is_simple])
        assert told in ("refused", "opaque 0"), (method, address)  # nothing that the page could read
    assert await tab.evaluate(LISTEN, f"{service.url}/api/events") == "refused"


async def test_a_name_that_somebody_else_may_lead_here_is_not_answered(service: Rolltape) -> None:
    evil = f"http://evil.example:{service.port}"
    async with chromium(evil, flags=["--host-resolver-rules=MAP evil.example 127.0.0.1"]) as window:
        tab = await window.tab()
        for path in ("/", "/login", "/streams", "/static/app.css", "/api/events", "/health/live"):
            answer = await tab.goto(f"{evil}{path}")
            known = service.request("GET", path, headers={"Host": "evil.example"})

            assert answer is not None
            assert (answer.status, known.status_code) == (421, 421), path
            assert "ROLLTAPE_ALLOWED_HOSTS" in await tab.content(), path
