"""Titles are cut out of the audio, and no byte of audio with them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolltape.capture.icy import IcyCutter, clean, parse_title


def with_texts(audio: bytes, texts: list[bytes], interval: int) -> bytes:
    """`audio` as a server sends it: after every `interval` bytes one of `texts`."""
    data = b""
    for number, position in enumerate(range(0, len(audio), interval)):
        piece = audio[position : position + interval]
        text = texts[number % len(texts)] if texts else b""
        text += b"\0" * (-len(text) % 16)
        data += piece + (bytes([len(text) // 16]) + text if len(piece) == interval else b"")
    return data


@given(
    audio=st.binary(min_size=1, max_size=2000),
    texts=st.lists(st.binary(max_size=100), max_size=3),
    interval=st.integers(1, 300),
    size=st.integers(1, 700),
)
def test_the_audio_comes_out_whole_however_it_is_cut(
    audio: bytes, texts: list[bytes], interval: int, size: int
) -> None:
    data = with_texts(audio, texts, interval)
    cutter = IcyCutter(interval)

    cut = b"".join(cutter.cut(data[start : start + size]) for start in range(0, len(data), size))

    assert cut == audio


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (b"StreamTitle='Artist - Song';StreamUrl='x';\0\0", "Artist - Song"),
        (b"StreamTitle='Don't stop';", "Don't stop"),
        (b"StreamTitle='';", ""),
        (b"StreamTitle='cut off", "cut off"),
        (b"StreamUrl='only';", None),
        (b"", None),
        (b"StreamTitle='Caf\xe9';", "Café"),
        ("StreamTitle='Café';".encode(), "Café"),
        (b"StreamTitle='a\r\nb\x1b[31m\x00';", "a b [31m"),
    ],
)
def test_titles_are_read(text: bytes, title: str | None) -> None:
    assert parse_title(text) == title


@given(st.binary())
def test_every_text_becomes_one_line_that_can_be_shown(text: bytes) -> None:
    assert clean(text).isprintable()


def test_bidi_controls_are_taken_out() -> None:
    assert clean("a\u202eb\u2066c".encode()) == "a b c"
