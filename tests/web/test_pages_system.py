"""The pages of the log, of the system, and of the API, as a browser without scripts uses them."""

import gzip
import json
from collections.abc import Mapping

import pytest

from rolltape.domain.log import CURRENT
from rolltape.services.libraries import libraries
from rolltape.web.api import ROUTES
from tests.web.conftest import Browser, Client
from tests.web.reading import read

HOSTILE = '</time><script>alert(1)</script><img src=x onerror=alert(2)>" onmouseover="alert(3)'
SETTINGS = {
    "timezone": "Europe/Berlin", "start_early": "0", "end_late": "0", "max_concurrent_sessions": "50",
    "max_concurrent_processing": "2", "max_concurrent_transfers": "4", "max_transfers_per_destination": "2",
    "log_level": "info", "log_levels": "", "log_size": "10", "log_retention": "30",
}  # fmt: skip


def write_log(client: Client, *lines: Mapping[str, object]) -> None:
    """A log of these lines; what is not said of one is usual."""
    folder = client.bench.folder / "log"
    folder.mkdir(exist_ok=True)
    usual = {"level": "info", "component": "capture"}
    with (folder / CURRENT).open("w") as file:
        for number, line in enumerate(lines):
            values = {"time": f"2026-06-01T12:{number // 60:02}:{number % 60:02}Z"} | usual | dict(line)
            file.write(json.dumps(values, separators=(",", ":")) + "\n")


# The log


async def test_the_log_shows_the_newest_line_first_and_leads_to_its_session(client: Client, browser: Browser) -> None:
    write_log(client, {"message": "first", "session_id": 12}, {"message": "second", "level": "error"})

    page = read((await browser.get("/logs")).text)

    assert page.all("div", class_="said")[0].text.split() == ["second", "Receiving"]
    assert [p.text for p in page.all("p") if p.text in ("first", "second")] == ["second", "first"]
    assert page.one("a", href="/sessions/12").text == "session 12"


async def test_the_filters_are_in_the_address_and_stay_in_the_form(client: Client, browser: Browser) -> None:
    write_log(client, *({"message": f"song {n}", "level": ("info", "warning")[n % 2]} for n in range(4)))

    page = read((await browser.get("/logs?level=warning&component=capture&text=song&session_id=")).text)

    assert len(page.all("div", class_="entry")) == 2
    assert [option.attributes["value"] for option in page.all("option", selected="")] == ["warning", "capture"]
    assert page.value("text") == "song"
    assert page.one("a", download="").attributes["href"].endswith("/download?level=warning&component=capture&text=song")


async def test_older_lines_are_on_the_next_page(client: Client, browser: Browser) -> None:
    write_log(client, *({"message": f"line-{n:03}"} for n in range(150)))

    first = read((await browser.get("/logs?component=capture")).text)
    second = read((await browser.get(first.one("a", rel="next").attributes["href"])).text)

    assert len(first.all("div", class_="entry")) == 100
    assert len(second.all("div", class_="entry")) == 50
    assert second.all("div", class_="said")[-1].text.split()[0] == "line-000"


async def test_what_a_station_sent_is_shown_as_text(client: Client, browser: Browser) -> None:
    write_log(
        client,
        {
            "message": HOSTILE, "title": HOSTILE, "action": HOSTILE, "exception": HOSTILE, "component": HOSTILE,
            HOSTILE: HOSTILE, "session_id": HOSTILE, "stream_id": HOSTILE,
        },
    )  # fmt: skip

    page = read((await browser.get("/logs")).text)

    scripts = [script.attributes.get("src", "inline") for script in page.all("script")]
    assert all(script.startswith("/static/") for script in scripts)
    assert page.all("img") == []
    assert all(not name.startswith("on") for element in page.elements for name in element.attributes)
    assert HOSTILE in page.one("pre").text


@pytest.mark.parametrize("query", ["session_id=abc", "session_id=0", "session_id=99999999999", "level=loud", "after=x"])
async def test_a_bad_filter_is_told_and_kept(client: Client, browser: Browser, query: str) -> None:
    name, _, value = query.partition("=")

    answer = await browser.get(f"/logs?{query}")

    assert answer.status_code == 422
    page = read(answer.text)
    assert len(page.all("p", role="alert")) == 1
    if name == "session_id":
        assert page.value(name) == value


@pytest.mark.parametrize("query", [f"text={'x' * 300}", "level=x&level=y", "text=%00%ff", "component=%F0%9F%98%80"])
async def test_odd_addresses_are_answered_with_a_page(browser: Browser, query: str) -> None:
    answer = await browser.get(f"/logs?{query}")

    assert answer.status_code in (200, 422)
    assert read(answer.text).all("h1")


async def test_an_empty_log_says_so(browser: Browser) -> None:
    assert "Nothing was told yet." in (await browser.get("/logs")).text
    assert "No line is like that." in (await browser.get("/logs?text=x")).text


# The system


async def test_the_system_says_what_is_not_well_and_what_to_do(
    client: Client, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.bench.services.health, "_log_problem", lambda: "/log cannot be written: <b>full</b>")

    page = read((await browser.get("/system")).text)

    assert page.all("h2")[0].text == "What needs attention"
    (finding,) = page.all("div", class_="finding")
    assert "<b>full</b>" in finding.text
    assert "make room" in finding.text


async def test_a_system_that_is_well_says_so(browser: Browser) -> None:
    page = read((await browser.get("/system")).text)

    assert page.all("h2")[0].text == "Everything is well"


async def test_settings_are_changed_by_the_form(client: Client, browser: Browser) -> None:
    changed = SETTINGS | {"timezone": "Asia/Tokyo", "log_retention": "7", "log_levels": "capture=debug"}

    answer = await browser.submit("/system/settings", **changed)

    assert (answer.status_code, answer.headers["location"]) == (303, "/system/settings?note=saved")
    values = client.bench.services.preferences.values
    assert (values.timezone, values.log_retention, values.log_levels) == ("Asia/Tokyo", 7, "capture=debug")
    page = read((await browser.get("/system/settings")).text)
    assert page.value("log_retention") == "7"


async def test_an_emptied_setting_goes_back_to_its_default(client: Client, browser: Browser) -> None:
    await browser.submit("/system/settings", **SETTINGS | {"log_size": "5", "log_levels": "web=debug"})

    await browser.submit("/system/settings", **SETTINGS | {"log_size": "", "log_levels": ""})

    assert client.bench.services.preferences.values.log_size == 10
    assert client.bench.services.preferences.values.log_levels == ""


BAD = [
    ("timezone", "Mars/Olympus", "There is no time zone"), ("timezone", "x" * 5000, "There is no time zone"),
    ("start_early", "soon", "number"), ("end_late", "-1", "greater than or equal to 0"), ("end_late", "nan", "finite"),
    ("max_concurrent_sessions", "0", "greater than or equal to 1"), ("max_concurrent_sessions", "1e9", "integer"),
    ("max_concurrent_transfers", "65", "less than or equal to 64"), ("log_level", "loud", "Input should be"),
    ("log_levels", "capture", "a level is one of"), ("log_levels", "<b>=debug", "a part of the program is one of"),
    ("log_size", "1\x00", "integer"), ("log_retention", "9" * 5000, "integer"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "sentence"), BAD, ids=range(len(BAD)))
async def test_a_bad_setting_is_told_at_its_field_and_nothing_typed_is_lost(
    client: Client, browser: Browser, name: str, value: str, sentence: str
) -> None:
    typed = SETTINGS | {"start_early": "30", name: value}

    answer = await browser.submit("/system/settings", **typed)

    assert answer.status_code == 422
    page = read(answer.text)
    assert list(page.errors) == [name]
    assert sentence in page.error(name)
    assert client.bench.services.preferences.values.start_early == 0
    if name != "log_level":
        assert page.value(name).replace("\ufffd", "\x00") == value
        assert page.value("start_early") == typed["start_early"]


async def test_what_the_environment_fixes_is_shown_locked(client: Client, browser: Browser) -> None:
    client.bench.services.preferences._locked = {"log_retention": "ROLLTAPE_LOG_RETENTION"}

    page = read((await browser.get("/system/settings")).text)
    answer = await browser.submit("/system/settings", log_retention="5")

    assert "disabled" in page.one("input", id="log_retention").attributes
    assert "ROLLTAPE_LOG_RETENTION" in page.one("p", id="log_retention-help").text
    assert "ROLLTAPE_LOG_RETENTION" in read(answer.text).error("log_retention")


async def test_about_names_every_library_with_its_licence(browser: Browser) -> None:
    page = read((await browser.get("/system/about")).text)
    shown = [cell.text for cell in page.all("td")]

    assert {"fastapi", "paramiko", "mutagen"} <= {library.name for library in libraries()}
    assert {library.name for library in libraries()} <= set(shown)
    assert all(library.licence and library.licence != "see its own files" for library in libraries())
    assert {"Bootstrap", "htmx", "idiomorph"} <= set(shown)
    assert any("ffmpeg version" in fact.text and "Landlock" in fact.text for fact in page.all("dd"))


async def test_nothing_of_the_development_is_among_the_libraries() -> None:
    assert {"pytest", "mypy", "playwright", "rolltape"}.isdisjoint(library.name for library in libraries())


@pytest.mark.parametrize("path", ["/logs", "/system", "/system/settings", "/system/backups", "/system/about"])
async def test_a_stranger_is_led_to_the_login(browser: Browser, stranger: Browser, path: str) -> None:
    answer = await stranger.get(path)

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


# The API


async def test_every_call_is_described(browser: Browser) -> None:
    page = read((await browser.get("/api/docs")).text)

    calls = [summary.text for summary in page.all("summary")]
    for method, path, handler, _ in ROUTES:
        if method == "HEAD":
            continue
        assert handler.__doc__, f"{method} {path} has no docstring"
        said = " ".join(handler.__doc__.split("\n")[0].replace("`", "").split())
        assert any(call.split()[:2] == [method, f"/api{path}"] and said in call for call in calls), f"{method} {path}"


async def test_the_examples_can_be_copied(browser: Browser) -> None:
    page = read((await browser.get("/api/docs")).text)

    examples = [" ".join(example.text.split()) for example in page.all("pre")]
    assert 'curl -H "Authorization: Bearer TOKEN" http://rolltape/api/streams' in examples
    assert any('-d \'{"name": "Harbour FM", "url": "http://radio.example/live"}\'' in example for example in examples)
    assert any("-F file=@cover.jpg" in example for example in examples)
    assert not any("{stream_id}" in example for example in examples)


async def test_the_description_is_small(browser: Browser) -> None:
    answer = await browser.get("/api/docs")

    assert len(gzip.compress(answer.content)) < 50_000


async def test_the_description_needs_a_login(browser: Browser, stranger: Browser) -> None:
    program = await stranger.get("/api/docs")
    person = await stranger.get("/api/docs", headers={"Accept": "text/html,*/*;q=0.8"})

    assert program.status_code == 401
    assert (person.status_code, person.headers["location"]) == (303, "/login?next=/api/docs")


async def test_the_description_belongs_to_the_system_in_the_navigation(browser: Browser) -> None:
    page = read((await browser.get("/api/docs")).text)

    marked = [link.text for link in page.elements if link.tag == "a" and "aria-current" in link.attributes]
    assert marked == ["System", "API"]
