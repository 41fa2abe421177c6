"""What a server sends is told from its bytes."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolltape.capture.sniff import ENOUGH, Kind, sniff
from rolltape.domain.take import Codec
from tests.capture.test_frames import ADTS_FRAME, MP3_FRAME


@pytest.mark.parametrize(
    ("data", "kind", "codec"),
    [
        (MP3_FRAME[100:] + MP3_FRAME * 4, Kind.FRAMES, Codec.MP3),
        (ADTS_FRAME[100:] + ADTS_FRAME * 4, Kind.FRAMES, Codec.AAC),
        (b"ID3\x04\x00\x00\x00\x00\x00\x10" + bytes(16) + MP3_FRAME * 4, Kind.FRAMES, Codec.MP3),
        (b"OggS" + bytes(24) + b"OpusHead" + bytes(100), Kind.CONTAINER, Codec.OPUS),
        (b"OggS" + bytes(24) + b"\x01vorbis" + bytes(100), Kind.CONTAINER, Codec.VORBIS),
        (b"fLaC" + bytes(100), Kind.CONTAINER, Codec.FLAC),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", Kind.CONTAINER, Codec.PCM),
        ((b"G" + bytes(187)) * 4, Kind.CONTAINER, None),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", Kind.HLS, None),
        (b"#EXTM3U\nhttp://a/b\n", Kind.PLAYLIST, None),
        (b"[Playlist]\nFile1=http://a/b\n", Kind.PLAYLIST, None),
        (b"<?xml version='1.0'?><playlist version='1'>", Kind.PLAYLIST, None),
        (b"http://a/b\n", Kind.PLAYLIST, None),
        (b"\n <!DOCTYPE html><html>", Kind.FOREIGN, None),
        (b'{"error": "off the air"}', Kind.FOREIGN, None),
        (b"\xff\xd8\xff\xe0" + bytes(100), Kind.FOREIGN, None),
        (b"0&\xb2u\x8ef\xcf\x11" + bytes(100), Kind.FOREIGN, None),
        (os.urandom(4) + bytes(4000), Kind.UNKNOWN, None),
    ],
)
def test_what_it_is_is_told(data: bytes, kind: Kind, codec: Codec | None) -> None:
    content = sniff(data, complete=True)

    assert content is not None
    assert (content.kind, content.codec) == (kind, codec)


def test_too_little_asks_for_more() -> None:
    assert sniff(MP3_FRAME[:300], complete=False) is None


@given(st.binary(max_size=ENOUGH), st.booleans())
def test_any_bytes_can_be_looked_at(data: bytes, complete: bool) -> None:
    assert complete is False or sniff(data, complete=complete) is not None
