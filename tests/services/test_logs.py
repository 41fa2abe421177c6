"""The log is read back page by page, whatever became of its files."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rolltape.domain.errors import InputError
from rolltape.domain.log import CURRENT, LONGEST_LINE, LogLevel, name_of_closed
from rolltape.domain.units import Bytes, Seconds
from rolltape.services.logs import BLOCK, LogFilters, LogPage, Logs

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
ALL = LogFilters()


def line(number: int, **more: Any) -> bytes:
    """The line told at second `number`."""
    values = {
        "time": (BEGIN + timedelta(seconds=number)).isoformat(),
        "level": "info",
        "component": "capture",
        "message": f"line {number}",
        "number": number,
    }
    return json.dumps(values | more, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def write(folder: Path, *contents: bytes, name: str = CURRENT) -> Path:
    file = folder / name
    file.write_bytes(b"".join(contents))
    return file


def numbers(page: LogPage) -> list[int]:
    return [entry.fields["number"] for entry in page.items]


async def all_of(logs: Logs, filters: LogFilters = ALL, *, limit: int, most_scanned: int = 10**9) -> list[int]:
    """The numbers of all lines, page after page."""
    found: list[int] = []
    key = None
    while True:
        page = await logs.page(filters, after=key, limit=limit, most_scanned=Bytes(most_scanned))
        assert len(page.items) <= limit
        found += numbers(page)
        key = page.next
        if key is None:
            return found


async def test_the_newest_line_comes_first(logs: Logs, tmp_path: Path) -> None:
    write(tmp_path, *(line(number) for number in range(5)))

    page = await logs.page(ALL, limit=3)

    assert numbers(page) == [4, 3, 2]
    entry = page.items[0]
    assert (entry.time, entry.level, entry.component) == (BEGIN + timedelta(seconds=4), LogLevel.INFO, "capture")


@pytest.mark.parametrize("limit", [1, 7, 200])
async def test_pages_follow_one_another_through_all_files_without_a_gap(logs: Logs, tmp_path: Path, limit: int) -> None:
    for day in range(3):
        inside = (line(number) for number in range(day * 50, day * 50 + 50))
        write(tmp_path, *inside, name=name_of_closed(BEGIN + timedelta(days=day)))
    write(tmp_path, *(line(number) for number in range(150, 160)))

    assert await all_of(logs, limit=limit) == list(range(159, -1, -1))


async def test_lines_across_the_borders_of_blocks_are_read_whole(logs: Logs, tmp_path: Path) -> None:
    length = BLOCK // 3 - 50  # so that borders fall everywhere
    write(tmp_path, *(line(number, text="x" * (length + number)) for number in range(20)))

    assert await all_of(logs, limit=3) == list(range(19, -1, -1))


async def test_a_page_is_the_same_after_the_file_was_closed_and_new_lines_came(logs: Logs, tmp_path: Path) -> None:
    write(tmp_path, *(line(number) for number in range(10)))
    first = await logs.page(ALL, limit=4)

    (tmp_path / CURRENT).rename(tmp_path / name_of_closed(BEGIN + timedelta(days=1)))
    write(tmp_path, *(line(number) for number in range(10, 20)))
    second = await logs.page(ALL, after=first.next, limit=4)

    assert numbers(second) == [5, 4, 3, 2]


async def test_a_page_of_a_file_that_was_removed_is_empty(logs: Logs, tmp_path: Path) -> None:
    write(tmp_path, *(line(number) for number in range(10)))
    first = await logs.page(ALL, limit=4)
    (tmp_path / CURRENT).rename(tmp_path / "elsewhere")
    write(tmp_path, line(1))

    page = await logs.page(ALL, after=first.next, limit=4)

    assert (page.items, page.next) == ([], None)


@pytest.mark.parametrize("key", ["", "x", "\x00", "ü" * 50, "MTIz", "LTF-MA", "MX4tMQ", "A" * 200])
async def test_a_key_that_was_not_given_out_is_refused(logs: Logs, key: str) -> None:
    with pytest.raises(InputError) as refused:
        await logs.page(ALL, after=key, limit=1)

    assert refused.value.field == "after"


FILTERS = [
    (LogFilters(level=LogLevel.WARNING), [4, 3]),
    (LogFilters(level=LogLevel.ERROR), [4]),
    (LogFilters(level=LogLevel.DEBUG), [6, 5, 4, 3, 2, 1, 0]),
    (LogFilters(component="web"), [2]),
    (LogFilters(component="we"), []),
    (LogFilters(session_id=1), [1]),
    (LogFilters(session_id=12), [5]),
    (LogFilters(text="STATION went"), [3]),
    (LogFilters(text="grüße"), [6]),
    (LogFilters(text="GRÜSSE viele"), []),
    (LogFilters(text="viele GRÜSSE"), [6]),
    (LogFilters(text="zerodivision"), [4]),
    (LogFilters(text="kind=odd"), [2]),
    (LogFilters(text='"'), []),
    (LogFilters(text="\\"), []),
    (LogFilters(text="  "), [6, 5, 4, 3, 2, 1, 0]),
    (LogFilters(since=BEGIN + timedelta(seconds=5)), [6, 5]),
    (LogFilters(level=LogLevel.INFO, component="capture", session_id=12), [5]),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS, ids=range(len(FILTERS)))
async def test_filters(logs: Logs, tmp_path: Path, filters: LogFilters, expected: list[int]) -> None:
    write(
        tmp_path,
        line(0, level="debug"),
        line(1, session_id=1),
        line(2, component="web", kind="odd"),
        line(3, level="warning", message="The station went away"),
        line(4, level="error", exception="Traceback\nZeroDivisionError: none"),
        line(5, session_id=12),
        line(6, message="Viele GRÜßE"),
    )

    assert numbers(await logs.page(filters, limit=50)) == expected
    assert [f"line {number}" for number in expected if number not in (3, 6)] == [
        word for word in (f"line {n}" for n in reversed(range(7))) if word in "".join(logs.download(filters))
    ]


async def test_a_search_ends_after_so_many_bytes_and_goes_on_where_it_ended(logs: Logs, tmp_path: Path) -> None:
    write(tmp_path, line(0, message="needle"), *(line(number) for number in range(1, 5_000)))

    page = await logs.page(LogFilters(text="needle"), limit=10, most_scanned=Bytes(100_000))

    assert page.items == []
    assert page.is_cut
    assert page.next is not None
    assert 100_000 <= page.scanned < 101_000
    assert await all_of(logs, LogFilters(text="needle"), limit=10, most_scanned=100_000) == [0]


async def test_a_search_ends_after_its_time_and_goes_on_where_it_ended(logs: Logs, tmp_path: Path) -> None:
    write(tmp_path, *(line(number) for number in range(3)))

    page = await logs.page(ALL, limit=10, longest_search=Seconds(0))
    rest = await logs.page(ALL, after=page.next, limit=10)

    assert page.is_cut
    assert numbers(page) + numbers(rest) == [2, 1, 0]


FOREIGN = [
    b"\n", b"\n\n\n", b"hello\n", b"\x00\xff\xfe\n", b"[]\n", b"5\n", b"null\n", b'"text"\n', b"{}\n",
    b"{" * 5000 + b"\n",
    b'{"time":"never","level":"info","component":"web","message":"x"}\n',
    b'{"time":5,"level":"info","component":"web","message":"x"}\n',
    b'{"time":"2026-06-01T00:00:00Z","level":"loud","component":"web","message":"x"}\n',
    b'{"time":"2026-06-01T00:00:00Z","level":["info"],"component":"web","message":"x"}\n',
    b'{"time":"0001-01-01T00:00:00+14:00","level":"info","component":"web","message":"x"}\n',
    b'{"time":"2026-06-01T00:00:00Z","level":"info"\n',
    b"x" * LONGEST_LINE * 5 + b"\n", b"x" * (BLOCK - 1) + b"\n", b"x" * BLOCK + b"\n", b"y" * (2 * BLOCK + 1) + b"\n",
]  # fmt: skip


@pytest.mark.parametrize("foreign", FOREIGN, ids=range(len(FOREIGN)))
async def test_lines_that_are_not_ours_are_left_out(logs: Logs, tmp_path: Path, foreign: bytes) -> None:
    write(tmp_path, foreign, line(0), foreign, line(1), foreign)

    assert await all_of(logs, limit=1) == [1, 0]
    assert "".join(logs.download(ALL)).count("\n") == 2


async def test_a_line_that_is_being_written_is_left_out(logs: Logs, tmp_path: Path) -> None:
    write(tmp_path, line(0), line(1)[:30])

    assert await all_of(logs, limit=10) == [0]
    assert "line 0" in "".join(logs.download(ALL))


async def test_ids_of_another_type_are_no_ids(logs: Logs, tmp_path: Path) -> None:
    write(tmp_path, line(0, session_id="<b>", stream_id=True, action=["x"]))

    [entry] = (await logs.page(ALL, limit=1)).items

    assert (entry.session_id, entry.stream_id, entry.action) == (None, None, "['x']")


async def test_without_a_folder_or_files_there_is_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        logs = Logs(folder)

        page = await logs.page(ALL, limit=10)

        assert (page.items, page.next, page.is_cut) == ([], None, False)
        assert "".join(logs.download(ALL)) == ""


async def test_only_the_files_of_the_log_are_read(logs: Logs, tmp_path: Path) -> None:
    write(tmp_path, line(0), name="other.log")
    write(tmp_path, line(1), name="rolltape-20260601T000000.000000Z.log.bak")
    (tmp_path / name_of_closed(BEGIN)).mkdir()

    assert await all_of(logs, limit=10) == []


async def test_old_files_are_not_opened_for_what_is_new(logs: Logs, tmp_path: Path) -> None:
    old = write(tmp_path, *(line(number) for number in range(1000)), name=name_of_closed(BEGIN))
    os.utime(old, (BEGIN.timestamp(), BEGIN.timestamp()))
    write(tmp_path, line(90_000))

    page = await logs.page(LogFilters(since=BEGIN + timedelta(hours=1)), limit=10)

    assert numbers(page) == [90_000]
    assert page.scanned < 1_000


async def test_the_download_is_text_with_the_oldest_line_first(logs: Logs, tmp_path: Path) -> None:
    write(tmp_path, line(0, session_id=3), name=name_of_closed(BEGIN))
    write(tmp_path, line(1, level="error", exception="Traceback\nError"))

    text = "".join(logs.download(ALL))

    assert text == (
        "2026-06-01T00:00:00.000000Z info    [capture] line 0 session_id=3 number=0\n"
        "2026-06-01T00:00:01.000000Z error   [capture] line 1 number=1\n    Traceback\n    Error\n"
    )


async def test_a_large_download_comes_in_pieces(logs: Logs, tmp_path: Path) -> None:
    write(tmp_path, *(line(number, text="x" * 1000) for number in range(1000)))

    pieces = list(logs.download(ALL))

    assert len(pieces) > 5
    assert "".join(pieces).count("\n") == 1000
