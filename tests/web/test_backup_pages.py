"""Backups in the pages and the API, and on the first visit."""

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from rolltape.services.backups import LARGEST_ARCHIVE
from tests import forged
from tests.services.conftest import build
from tests.web.conftest import COOKIE, PASSWORD, Browser, Client
from tests.web.reading import read

PAGE = "/system/backups"
PASSPHRASE = "a long passphrase"


async def make(client: Client, **wish: str) -> dict[str, Any]:
    made: dict[str, Any] = await client.call("POST", "/api/backups", json=wish)
    return made


async def file_of(client: Client, name: str) -> bytes:
    return (await client.request("GET", f"/api/backups/{name}")).content


async def send(browser: Browser, path: str, content: bytes, **fields: str) -> httpx2.Response:
    files = {"file": ("backup.zip", content, "application/zip")}
    return await browser.post(path, data=fields, files=files, headers={"Origin": browser.origin})


# The API


async def test_a_backup_is_made_listed_fetched_checked_and_deleted(client: Client, stream: int) -> None:
    made = await make(client)

    (listed,) = (await client.call("GET", "/api/backups"))["items"]
    got = await client.request("GET", f"/api/backups/{made['name']}")
    checked = await client.call("POST", f"/api/backups/{made['name']}/verify")
    assert listed == made == checked
    assert (made["reason"], made["has_secrets"], made["problem"]) == ("manual", False, None)
    assert got.headers["content-type"] == "application/zip"
    assert made["name"] in got.headers["content-disposition"]
    assert (len(got.content), got.content[:2]) == (made["size"], b"PK")

    await client.call("DELETE", f"/api/backups/{made['name']}")
    assert (await client.call("GET", "/api/backups"))["items"] == []


async def test_backups_are_listed_in_pages(client: Client) -> None:
    names = [(await make(client))["name"] for _ in range(3)]

    first = await client.call("GET", "/api/backups?limit=2")
    second = await client.call("GET", f"/api/backups?limit=2&after={first['next']}")

    assert [one["name"] for one in (*first["items"], *second["items"])] == names[::-1]
    assert second["next"] is None


async def test_a_dry_run_tells_and_a_restoration_does(client: Client, stream: int) -> None:
    made = await make(client)
    await client.call("PATCH", f"/api/streams/{stream}", json={"genre": "Jazz"})
    path = f"/api/backups/{made['name']}/restore"

    told = await client.call("POST", f"{path}?dry_run=true")
    assert (await client.call("GET", f"/api/streams/{stream}"))["genre"] == "Jazz"
    done = await client.call("POST", path)
    assert (await client.call("GET", f"/api/streams/{stream}"))["genre"] == ""

    assert told["changes"] == done["changes"]
    assert next(one for one in told["changes"] if one["kind"] == "streams")["changed"] == {
        "count": 1,
        "names": ["Radio"],
    }
    assert (told["dry_run"], told["safety_backup"], done["dry_run"]) == (True, None, False)
    assert done["safety_backup"]["reason"] == "restore"


@pytest.mark.parametrize("as_form", [False, True])
async def test_a_backup_is_uploaded_and_in_the_list_once_it_is_sound(
    client: Client, stream: int, as_form: bool
) -> None:
    content = await file_of(client, (await make(client))["name"])
    how = {"files": {"file": ("x.zip", content)}} if as_form else {"content": content}

    brought = await client.call("POST", "/api/backups/upload", **how)
    refused = await client.call("POST", "/api/backups/upload", expect=422, content=content[:-30])
    empty = await client.call("POST", "/api/backups/upload", expect=422)

    assert brought["reason"] == "upload"
    assert refused["error"]["code"] == "backup_damaged"
    assert empty["error"]["message"].startswith("Choose a backup")
    assert len((await client.call("GET", "/api/backups"))["items"]) == 2


async def test_only_uploads_of_backups_may_be_large(client: Client) -> None:
    for path, largest in (("/api/backups/upload", LARGEST_ARCHIVE), ("/api/backups", 1024**2)):
        headers = {"Content-Length": str(largest + 2 * 1024**2)}
        answer = await client.request("POST", path, headers=headers, content=b"x")
        assert answer.status_code == 413, path


@pytest.mark.parametrize("name", ["nothing.zip", "rolltape-20260601-120000-manual.zip", "..%2Frolltape.db", "%00"])
async def test_what_is_no_backup_is_not_found(client: Client, name: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/verify"), ("POST", "/restore")):
        await client.call(method, f"/api/backups/{name}{path}", expect=404)


@pytest.mark.parametrize("wish", [{"passphrase": "short"}, {"passphrase": 5}, {"passphrase": "x" * 1001}, {"more": 1}])
async def test_a_wish_that_cannot_be_met_names_its_field(client: Client, wish: dict[str, Any]) -> None:
    assert list(await client.refused("POST", "/api/backups", json=wish)) == list(wish)


async def test_a_wrong_passphrase_is_told_at_its_field(client: Client) -> None:
    made = await make(client, passphrase=PASSPHRASE)

    fields = await client.refused(
        "POST", f"/api/backups/{made['name']}/restore", json={"passphrase": "another phrase", "with_accounts": True}
    )

    assert list(fields) == ["passphrase"]


async def test_a_folder_that_cannot_be_written_is_told(client: Client) -> None:
    (client.bench.folder / "backups").write_text("in the way")

    answer = await client.call("POST", "/api/backups", expect=507)

    assert answer["error"]["code"] == "backup_failed"


async def test_strangers_get_no_backup(client: Client, stranger: Browser) -> None:
    made = await make(client)
    for path in (f"/api/backups/{made['name']}", "/api/backups"):
        assert (await stranger.get(path)).status_code == 401
    assert (await stranger.get(PAGE)).status_code == 303


# The pages


async def test_a_backup_is_made_in_the_page(client: Client, browser: Browser) -> None:
    before = await browser.get(PAGE)
    done = await browser.submit(PAGE, passphrase="", again="")
    after = await browser.get(done.headers["location"])

    (made,) = await client.bench.services.backups.all()
    assert "There is no backup yet." in before.text
    assert "The backup is made." in after.text
    assert "By hand" in after.text
    assert read(after.text).all("a", href=f"/api/backups/{made.name}")
    assert (await browser.get(f"/api/backups/{made.name}")).status_code == 200


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"passphrase": "a long one", "again": "another"}, "again"),
        ({"passphrase": "short", "again": "short"}, "passphrase"),
    ],
)
async def test_a_passphrase_that_cannot_be_used_is_told_at_its_field(
    client: Client, browser: Browser, typed: dict[str, str], field: str
) -> None:
    answer = await browser.submit(PAGE, **typed)

    assert answer.status_code == 422
    assert list(read(answer.text).errors) == [f"{field}-error"] or read(answer.text).error(field)
    assert await client.bench.services.backups.all() == []


async def test_the_page_says_what_it_would_change_and_asks(client: Client, browser: Browser, stream: int) -> None:
    made = await make(client)
    await client.call("PATCH", f"/api/streams/{stream}", json={"genre": "Jazz"})
    await client.call("POST", "/api/streams", json={"name": "Later", "url": "http://radio.example/"})

    asked = await browser.get(f"{PAGE}/{made['name']}/restore")

    row = re.search(r"<tr><td[^>]*>Streams</td>(.*)</tr>", asked.text)
    assert row is not None
    assert re.findall(r"<td[^>]*>([^<]*)</td>", row[1]) == ["—", "Radio", "Later"]
    assert "A backup of how things are now is made first." in asked.text
    assert "Passphrase" not in asked.text
    assert (await client.call("GET", f"/api/streams/{stream}"))["genre"] == "Jazz"


async def test_after_a_restoration_everybody_is_signed_out(client: Client, browser: Browser, stream: int) -> None:
    made = await make(client)
    await client.call("PATCH", f"/api/streams/{stream}", json={"genre": "Jazz"})

    done = await browser.submit(f"{PAGE}/{made['name']}/restore", then="restore")

    assert "The backup is restored" in done.text
    assert (await client.call("GET", f"/api/streams/{stream}"))["genre"] == ""
    assert (await browser.get(PAGE)).headers["location"].startswith("/login")
    setup = await browser.get("/setup")
    assert setup.headers["location"] == "/login"
    signed_in = await browser.submit("/login", name="listener", password=PASSWORD)
    assert signed_in.status_code == 303


async def test_a_sealed_backup_is_looked_into_with_its_passphrase(client: Client, browser: Browser) -> None:
    made = await make(client, passphrase=PASSPHRASE)
    path = f"{PAGE}/{made['name']}/restore"

    wrong = await browser.submit(path, passphrase="another phrase", then="look")
    right = await browser.submit(path, passphrase=PASSPHRASE, with_accounts="on", then="look")
    forgotten = await browser.submit(path, passphrase="", with_accounts="on", then="restore")

    assert read(wrong.text).error("passphrase").startswith("This is not the passphrase")
    assert "Everything is as it is in the backup." in right.text
    assert PASSPHRASE not in right.text
    assert "the passphrase is needed" in read(forgotten.text).error("passphrase")
    assert len(await client.bench.services.backups.all()) == 1


async def test_a_backup_is_brought_in_the_page(client: Client, browser: Browser, stream: int) -> None:
    content = await file_of(client, (await make(client))["name"])

    brought = await send(browser, f"{PAGE}/upload", content)
    refused = await send(browser, f"{PAGE}/upload", b"MZ" + content)
    nothing = await send(browser, f"{PAGE}/upload", b"")

    asked = await browser.get(brought.headers["location"])
    assert "has arrived and is sound" in asked.text
    assert (refused.status_code, "This is no backup of Rolltape." in refused.text) == (422, True)
    assert "Choose a backup first" in nothing.text


async def test_a_backup_is_checked_and_deleted_in_the_page(client: Client, browser: Browser) -> None:
    made = await make(client)
    sound = await browser.submit(f"{PAGE}/{made['name']}/verify")
    assert "note=backup-sound" in sound.headers["location"]
    file = client.bench.services.backups.path(made["name"])
    file.write_bytes(file.read_bytes()[:-40])

    damaged = await browser.submit(f"{PAGE}/{made['name']}/verify")
    assert "damaged" in damaged.text
    assert "Cannot be used" in (await browser.get(PAGE)).text

    assert "cannot be brought back" in (await browser.get(f"{PAGE}/{made['name']}/delete")).text
    await browser.submit(f"{PAGE}/{made['name']}/delete")
    assert await client.bench.services.backups.all() == []


async def test_a_form_that_is_none_is_told(client: Client, browser: Browser) -> None:
    for content_type, body in (
        ("multipart/form-data; boundary=x", b"rubbish"),
        ("multipart/form-data", b""),
        ("application/x-www-form-urlencoded", b"file=x"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"y" * 100_000,
        ),
    ):
        headers = {"Origin": browser.origin, "Content-Type": content_type}
        answer = await browser.post(f"{PAGE}/upload", content=body, headers=headers)
        assert answer.status_code == 422, (content_type, answer.text)


# The first visit


async def archive(client: Client, **wish: str) -> bytes:
    """A backup of an instance with a stream."""
    await client.bench.stream("Radio from before")
    return await file_of(client, (await make(client, **wish))["name"])


async def fresh(tmp_path: Path, migrated_sqlite: Path, ffmpeg: str) -> Client:
    from rolltape import web
    from rolltape.store import Database

    folder = tmp_path / "fresh"
    folder.mkdir()
    (folder / "fresh.db").write_bytes(migrated_sqlite.read_bytes())
    bench = build(Database(f"sqlite:///{folder / 'fresh.db'}"), folder, ffmpeg)
    return Client(bench, web.create(bench.services, allowed_hosts=[]), "")


async def test_a_newcomer_with_a_backup_restores_it_and_then_makes_the_account(
    client: Client, tmp_path: Path, migrated_sqlite: Path, ffmpeg: str
) -> None:
    content = await archive(client)
    new = await fresh(tmp_path, migrated_sqlite, ffmpeg)
    services = new.bench.services
    code = await services.users.setup_code() or ""
    async with Browser(new.app) as browser:
        assert read((await browser.get("/setup")).text).all("a", href="/setup/restore")
        wrong = await send(browser, "/setup/restore", content, code="AAAA-AAAA-AAAA", passphrase="")
        assert read(wrong.text).error("code")
        assert await services.backups.all() == []

        done = await send(browser, "/setup/restore", content, code=code, passphrase="")

        assert "Make your account" in done.text
        assert [name for _, name in await services.streams.names()] == ["Radio from before"]
        made = await browser.submit(
            "/setup", code=code, name="listener", password=PASSWORD, again=PASSWORD, timezone="UTC"
        )
        assert made.status_code == 303
        again = await send(browser, "/setup/restore", content, code=code, passphrase="")
        assert again.status_code == 409
    await new.bench.database.close()


async def test_with_the_passphrase_the_account_comes_along_and_the_first_visit_is_over(
    client: Client, browser: Browser, tmp_path: Path, migrated_sqlite: Path, ffmpeg: str
) -> None:
    content = await archive(client, passphrase=PASSPHRASE)
    new = await fresh(tmp_path, migrated_sqlite, ffmpeg)
    code = await new.bench.services.users.setup_code() or ""
    async with Browser(new.app) as visitor:
        done = await send(visitor, "/setup/restore", content, code=code, passphrase=PASSPHRASE)

        assert "Sign in with your account" in done.text
        assert (await visitor.get("/setup")).headers["location"] == "/login"
        signed_in = await visitor.submit("/login", name="listener", password=PASSWORD)
        assert COOKIE in signed_in.headers["set-cookie"]
    await new.bench.database.close()


async def test_of_strangers_no_file_is_taken_on_the_first_visit(
    client: Client, tmp_path: Path, migrated_sqlite: Path, ffmpeg: str
) -> None:
    content = await archive(client)
    new = await fresh(tmp_path, migrated_sqlite, ffmpeg)
    async with Browser(new.app) as browser:
        for _ in range(12):
            answer = await send(browser, "/setup/restore", content, code="WRONG")
        assert answer.status_code in (422, 429)
        assert not (new.bench.folder / "backups").exists()
        hidden = await send(browser, "/setup/restore", content)  # no code at all
        assert hidden.status_code in (422, 429)
    assert new.bench.services.streams is not None
    await new.bench.database.close()


async def test_a_forged_backup_is_refused_on_the_first_visit(
    client: Client, tmp_path: Path, migrated_sqlite: Path, ffmpeg: str
) -> None:
    await client.bench.stream("Radio from before")
    made = await make(client)
    good = client.bench.services.backups.path(made["name"])
    bad = forged.with_row(good, tmp_path / "bad.zip", "streams", url="file:///etc/passwd")
    new = await fresh(tmp_path, migrated_sqlite, ffmpeg)
    code = await new.bench.services.users.setup_code() or ""
    async with Browser(new.app) as browser:
        answer = await send(browser, "/setup/restore", bad.read_bytes(), code=code)

    assert "The stream Radio from before, url:" in answer.text
    assert await new.bench.services.streams.names() == []
    await new.bench.database.close()
