"""Answers of servers, good and bad."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolltape.capture.http import LONGEST_HEAD, ChunkedReader, Head, refusal, request, retry_after, split_head

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1", b"ICY"])
def test_a_head_is_read_and_the_body_left(version: bytes, end: bytes) -> None:
    data = end.join([version + b" 200 OK", b"icy-name: Radio", b"ICY-METAINT:16000", b"", b"body"])

    split = split_head(data)

    assert split is not None
    head, body = split
    assert (head.status, head.text("icy-name"), head.number("icy-metaint"), body) == (200, "Radio", 16000, b"body")


def test_half_a_head_asks_for_more() -> None:
    assert split_head(b"HTTP/1.0 200 OK\r\nicy-na") is None


@pytest.mark.parametrize("data", [b"220 smtp ready\r\n\r\n", b"HTTP/1.0 200\r\n" + b"a: b\r\n" * LONGEST_HEAD])
def test_what_is_no_http_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"HTTP|end"):
        split_head(data)


@given(st.binary(max_size=500))
def test_any_head_can_be_read(data: bytes) -> None:
    try:
        split = split_head(b"HTTP/1.1 200 OK\r\n" + data)
    except ValueError:
        return
    assert split is None or isinstance(split[0].is_chunked, bool)


def test_the_request_asks_for_titles_and_logs_in() -> None:
    asked = request("http://us%40er:p%3Ass@radio.example:8000/a b/ü?q=1").decode()

    assert asked.startswith("GET /a%20b/%C3%BC?q=1 HTTP/1.1\r\nHost: radio.example:8000\r\n")
    assert "Icy-MetaData: 1\r\n" in asked
    assert "Authorization: Basic dXNAZXI6cDpzcw==\r\n" in asked
    assert asked.endswith("\r\n\r\n")


@pytest.mark.parametrize(
    ("value", "wait"),
    [("5", 5), ("600", 60), ("", None), ("soon", None), ("Thu, 01 Jan 2026 00:00:30 GMT", 30), ("-3", None)],
)
def test_a_server_may_ask_to_wait_for_a_minute(value: str, wait: float | None) -> None:
    assert retry_after(value, now=NOW) == wait


def test_a_refusal_hides_the_query_and_keeps_the_wait() -> None:
    refused = refusal(Head(503, {"retry-after": b"7"}), "http://a:b@h/x?token=y", now=NOW)

    assert refused is not None
    assert (refused.code, refused.retry_after) == ("http_503", timedelta(seconds=7).total_seconds())
    assert "token" not in refused.message
    assert "a:b" not in refused.message


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.integers(1, 200))
def test_chunks_are_joined_however_they_come(chunks: list[bytes], size: int) -> None:
    data = b"".join(f"{len(chunk):X};x=y\r\n".encode() + chunk + b"\r\n" for chunk in chunks) + b"0\r\n\r\n"
    reader = ChunkedReader()

    body = b"".join(reader.feed(data[start : start + size]) for start in range(0, len(data), size))

    assert body == b"".join(chunks)
    assert reader.ended


@given(st.binary(max_size=300))
def test_broken_chunks_are_told(data: bytes) -> None:
    reader = ChunkedReader()
    try:
        reader.feed(data)
    except ValueError:
        return
    assert isinstance(reader.ended, bool)
