"""Pictures of every page, in both themes and at both widths, from a running Rolltape with an archive.

All go into `build/screenshots/`, to be looked at; those that the documents show (`BEST`) into `docs/images/` as well.
`make screenshots` makes all; with words as arguments, only pages whose name has one of them.
"""

import argparse
import asyncio
import io
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image, ImageDraw
from playwright.async_api import Page

from rolltape.store import migrate
from rolltape.web.pages import PAGES

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.archive import fill
from tests.servers.chromium import Window, chromium
from tests.servers.icecast import Icecast, icecast
from tests.servers.rolltape import Rolltape, rolltape
from tests.servers.sshd import Sshd, sshd

ROOT = Path(__file__).parent.parent
ALL, IMAGES = ROOT / "build" / "screenshots", ROOT / "docs" / "images"
BEST = {  # picture, and its height in the documents, in px: what is below is cut off
    "dashboard-1280-light": 800, "dashboard-1280-dark": 800, "dashboard-375-light": 900,
    "streams-1280-light": 620, "streams-new-1280-light": 900, "streams-1-1280-light": 800,
    "schedules-1280-light": 620, "schedules-week-next-1280-light": 900, "schedules-new-1280-light": 1000,
    "sessions-1280-light": 700, "sessions-finished-1280-light": 1000, "sessions-gapped-1280-dark": 700,
    "transfers-1280-light": 620, "destinations-new-key-1280-light": 800, "logs-1280-light": 640,
    "system-1280-light": 560, "system-settings-1280-light": 800, "setup-1280-light": 700,
}  # fmt: skip
LARGEST = 150_000  # bytes of a picture in the documents
HIGHEST = 2600  # px of a page; what is longer is more of the same
WIDTHS = (1280, 375)
ZONE = "Europe/Berlin"
NAME, PASSWORD = "listener", "a long pass phrase"
LENGTH = 48  # s of the session that has a player
SOUND = "aevalsrc=(0.3+0.2*sin(t*0.45)+0.25*sin(floor(t*5)*78.2))*sin(2*PI*220*t)*0.8:s=44100"  # something that swells
SONGS = ("Blue Train Home", "The Lighthouse Keeper", "Weather for the coast")
COLOURS = (
    ("#264653", "#e9c46a"), ("#3d405b", "#f2cc8f"), ("#1d3557", "#a8dadc"), ("#6d597a", "#eaac8b"),
    ("#2a4d3e", "#d8e2a5"), ("#5f0f40", "#fb8b24"), ("#22333b", "#c6ac8f"), ("#354f52", "#cad2c5"),
    ("#0b132b", "#5bc0be"), ("#4a4e69", "#f2e9e4"), ("#023047", "#ffb703"), ("#463f3a", "#e0afa0"),
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A Rolltape where something is going on, and a new one that nobody has visited yet."""

    service: Rolltape
    new: Rolltape
    ids: dict[str, int]
    named: dict[str, str]  # addresses worth a picture that the table of pages does not lead to


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        radio = stack.enter_context(icecast(folder / "icecast"))
        stack.enter_context(radio.mp3("live.mp3", audio=SOUND))
        server = stack.enter_context(sshd(folder / "sshd"))
        archive(folder / "rolltape" / "data")
        allowed = f"{urlsplit(radio.url('')).netloc},127.0.0.1:{server.port}"
        keys = {"ROLLTAPE_CONFIG_DIR": str(server.keys), "TZ": ZONE}
        service = stack.enter_context(rolltape(folder / "rolltape", ROLLTAPE_ALLOW_TARGETS=allowed, **keys))
        new = stack.enter_context(rolltape(folder / "new", ROLLTAPE_SETUP_CODE="HARB-OURF-M123"))
        assert service.command("user", "create", NAME, typed=f"{PASSWORD}\n").returncode == 0
        volume = stack.enter_context(volume_of(server))
        yield lively(service, new, radio, server, volume)


@contextmanager
def volume_of(server: Sshd) -> Iterator[Path]:
    """The server's folder under the name that it would have on a NAS, where that can be given: for the eye."""
    name = Path("/volume1")
    try:
        name.symlink_to(server.home)
    except OSError:
        yield server.home
        return
    try:
        yield name
    finally:
        name.unlink()


def archive(data: Path) -> None:
    """The database of an archive that has been running for a while."""
    data.mkdir(parents=True)
    url = f"sqlite:///{data / 'rolltape.db'}"
    asyncio.run(migrate(url))
    fill(url, streams=12, schedules=14, sessions=300, quiet_hours=3)
    with sqlite3.connect(data / "rolltape.db") as db:  # one archive, one time zone, but for a show from afar
        db.execute("UPDATE sessions SET timezone = ?", (ZONE,))
        db.execute("UPDATE schedules SET timezone = iif(id = 4, 'America/New_York', ?)", (ZONE,))
    db.close()


def lively(service: Rolltape, new: Rolltape, radio: Icecast, server: Sshd, volume: Path) -> Scene:
    """Covers, deliveries, a session that is finished, and one that records."""
    for number, colours in enumerate(COLOURS, 1):
        cover = {"file": ("cover.png", picture(number, *colours))}
        service.call("PUT", f"/api/streams/{number}/artwork", files=cover)
    known, unknown = destinations(service, server, volume)
    for number, mount, destination in ((1, "live.mp3", known), (2, "nord.mp3", known), (3, "live.mp3", unknown)):
        changes = {"url": radio.url(mount), "destination_ids": [destination]}
        service.call("PATCH", f"/api/streams/{number}", json=changes)
    finished, gapped, running = record(service, radio)
    token = service.call("POST", "/api/tokens", json={"name": "Home automation"})["id"]
    ids = {"stream_id": 1, "session_id": running, "token_id": token, "destination_id": known}
    named = {
        "sessions-finished": f"/sessions/{finished}",
        "sessions-finished-delete": f"/sessions/{finished}/delete",
        "sessions-gapped": f"/sessions/{gapped}",
        "sessions-found": "/sessions?verdict=gapped",
        "sessions-failed": "/sessions?state=failed",
        "destinations-new-key": f"/destinations/{unknown}",
        "schedules-week-next": f"/schedules/week?start={(datetime.now(UTC) + timedelta(days=1)).date()}",
        "schedules-week-clocks": f"/schedules/week?start=2026-10-19&zone={ZONE}",
        "schedules-none": "/schedules?text=nothing-like-that",
        "logs-errors": "/logs?level=error",
        "nowhere": "/nowhere",
        "setup-stream": "/setup/stream",
    }
    return Scene(service, new, ids, named)


def destinations(service: Rolltape, server: Sshd, volume: Path) -> tuple[int, int]:
    """One that works, and one whose key nobody has accepted yet."""
    numbers: list[int] = []
    for name in ("Music server", "Studio"):
        folder = volume / name.split()[0].lower()
        folder.mkdir()
        fields = server.destination(name=name, directory=str(folder))
        number: int = service.call("POST", "/api/destinations", json=fields.model_dump(mode="json"))["id"]
        shown = service.call("POST", f"/api/destinations/{number}/test")["host_key"]["fingerprint"]
        if not numbers:
            service.call("POST", f"/api/destinations/{number}/host-key", json={"fingerprint": shown})
            service.call("POST", f"/api/destinations/{number}/test")
        numbers.append(number)
    return numbers[0], numbers[1]


def record(service: Rolltape, radio: Icecast) -> tuple[int, int, int]:
    """A session with several titles that came to its end, one with a gap, and one that goes on."""

    def begin(stream: int, name: str, duration: float) -> int:
        fields = {"stream_id": stream, "duration": duration, "name": name}
        number: int = service.call("POST", "/api/sessions", json=fields)["id"]
        service.wait_for(number, ("recording",))
        return number

    with radio.mp3("nord.mp3", audio=SOUND):
        finished, gapped = begin(1, "Morning Magazine", LENGTH), begin(2, "Blue Hour", LENGTH)
        radio.set_title("live.mp3", SONGS[0])
        time.sleep(LENGTH / len(SONGS))  # so long it is on the air
    refused = begin(3, "Night Concert", 8)
    radio.set_title("live.mp3", SONGS[1])
    with radio.mp3("nord.mp3", audio=SOUND):
        time.sleep(LENGTH / len(SONGS))
        radio.set_title("live.mp3", SONGS[2])
        running = begin(1, "Jazz at Nine", 2 * 3600)
        for number, state in ((finished, "done"), (gapped, "done"), (refused, "failed")):
            service.wait_for(number, (state,), within=120)
    service.wait_until_session(running, lambda session: session["recorded"] > 5)
    return finished, gapped, running


def picture(number: int, dark: str, light: str) -> bytes:
    """A cover: a calm shape in two colours."""
    size = 600
    image = Image.new("RGB", (size, size), dark)
    draw = ImageDraw.Draw(image)
    if number % 4 == 0:
        draw.ellipse((150, 150, 450, 450), fill=light)
    elif number % 4 == 1:
        for ring in range(3):
            draw.arc(
                (60 + 90 * ring, 160 + 90 * ring, 540 - 90 * ring, 640 - 90 * ring), 180, 360, fill=light, width=36
            )
    elif number % 4 == 2:
        for bar, height in enumerate((180, 320, 240, 380, 140)):
            draw.rounded_rectangle((90 + 90 * bar, 300 - height / 2, 150 + 90 * bar, 300 + height / 2), 30, fill=light)
    else:
        draw.polygon(((0, 420), (240, 260), (600, 480), (600, 600), (0, 600)), fill=light)
        draw.ellipse((400, 90, 500, 190), fill=light)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def addresses(made: Scene) -> dict[str, str]:
    """The name and the address of every page of whoever is signed in."""
    found = {}
    for method, path, _ in PAGES:
        if method == "GET" and not any(part in path for part in ("/cover/", "/login", "/setup")):
            name = re.sub(r"{\w+}", "1", path).strip("/").replace("/", "-") or "dashboard"
            found[name] = re.sub(r"{(\w+)}", lambda place: str(made.ids.get(place[1], 1)), path)
    return found | made.named


async def take_all(made: Scene, wanted: list[str]) -> None:
    for width in WIDTHS:
        for dark in (False, True):
            ending = f"{width}-{'dark' if dark else 'light'}"
            async with chromium(made.new.url, width=width, dark=dark, zone=ZONE, flags=["--lang=en-GB"]) as window:
                await take(window, {"setup": "/setup"}, ending, wanted)
            async with chromium(made.service.url, width=width, dark=dark, zone=ZONE, flags=["--lang=en-GB"]) as window:
                await take(window, {"login": "/login"}, ending, wanted)
                await (await window.sign_in(NAME, PASSWORD)).close()
                await take(window, addresses(made), ending, wanted)


async def take(window: Window, pages: dict[str, str], ending: str, wanted: list[str]) -> None:
    tab = await window.tab()
    for name, address in pages.items():
        if wanted and not any(word in name for word in wanted):
            continue
        await tab.goto(f"{window.notices.home}{address}", wait_until="load")
        keep(f"{name}-{ending}", await photograph(tab))
    await tab.close()
    window.notices.assert_none()


async def photograph(tab: Page) -> bytes:
    """The page from its top, as far as it goes."""
    await tab.wait_for_timeout(250)  # for what is drawn once scripts have run
    width, height = await tab.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
    return await tab.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": min(height, HIGHEST)})


def keep(name: str, png: bytes) -> None:
    (ALL / f"{name}.png").write_bytes(png)
    if name not in BEST:
        return
    with Image.open(io.BytesIO(png)) as image:
        shown = image.convert("RGB").crop((0, 0, image.width, min(image.height, BEST[name])))
    file = IMAGES / f"{name}.webp"
    shown.save(file, "WEBP", quality=80, method=6)
    assert file.stat().st_size < LARGEST, f"{file.name} has {file.stat().st_size} bytes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wanted", nargs="*", help="words in the names of the pages; all pages without")
    wanted = parser.parse_args().wanted
    if not wanted:
        shutil.rmtree(ALL, ignore_errors=True)
    for folder in (ALL, IMAGES):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, scene(Path(place)) as made:
        asyncio.run(take_all(made, wanted))
    print(f"{len(list(ALL.iterdir()))} pictures in {ALL}")


if __name__ == "__main__":
    main()
