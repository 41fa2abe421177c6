"""Playlists lead to addresses, and to nothing else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolltape.capture.playlist import LONGEST, MOST_ENTRIES, entries
from rolltape.domain.address import SCHEMES

BASE = "http://radio.example/dir/list"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#EXTM3U\n#EXTINF:-1,x\nhttp://a/1\n\nstream.mp3\n", ["http://a/1", "http://radio.example/dir/stream.mp3"]),
        ("http://a/1\r\nhttp://a/1\r\n", ["http://a/1"]),
        ("[playlist]\nfile1=http://a/1\nTitle1=x\nFile2 = /b\n", ["http://a/1", "http://radio.example/b"]),
        ("<playlist><location>http://a/?x=1&amp;y=2</location></playlist>", ["http://a/?x=1&y=2"]),
        ("<playlist><location><![CDATA[http://a/1]]></location></playlist>", ["http://a/1"]),
        ("icy://a:8000/\n", ["http://a:8000/"]),
        ("file:///etc/passwd\nconcat:x\n", []),
        ("\ufeffhttp://a/1", ["http://a/1"]),
        ("", []),
    ],
)
def test_addresses_are_found(text: str, found: list[str]) -> None:
    assert entries(text.encode(), BASE) == found


@pytest.mark.parametrize(
    "data",
    [
        b"[playlist]" + b"\n" * LONGEST,
        b"[playlist]\nFile1=x" + b" " * LONGEST + b"y\n",
        b"<playlist>" + b"<location>" * (LONGEST // 10),
        b"<playlist>" + b"<location " * (LONGEST // 10),
        b"<playlist>" + b"</location>" * (LONGEST // 11),
        b"\n" * LONGEST,
    ],
)
def test_no_file_keeps_us_busy(data: bytes) -> None:
    began = time.process_time()

    entries(data, BASE)

    assert time.process_time() - began < 2  # s; it was two for the tenth part of this


@given(
    st.one_of(st.binary(max_size=2000), st.text(alphabet="[]<>playist\nfle1=hp:/.#&;", max_size=300).map(str.encode))
)
def test_any_file_gives_only_addresses_of_streams(data: bytes) -> None:
    found = entries(data, BASE)

    assert len(found) <= MOST_ENTRIES
    assert all(address.partition(":")[0].lower() in SCHEMES for address in found)
