"""Tags in front of a copy, read back by Mutagen and ffprobe."""

import hashlib
import json
import os
import subprocess
from dataclasses import replace
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.id3 import ID3
from mutagen.mp3 import MP3
from PIL import Image

from rolltape.domain.units import Bytes, Seconds
from rolltape.tag import Measured, Tags, Written, cover_jpeg, write
from rolltape.tag.frames import PADDING, tag_bytes
from tests.servers.process import program

BERLIN = ZoneInfo("Europe/Berlin")
TAGS = Tags(
    title="2026-01-02 Morgenshow",
    artist="Büro für Radio",
    album="Die Show 🎵",
    album_artist="Radio Eins",
    genre="Talk",
    station="Radio Eins",
    source_url="https://listener:secret@radio.example:8000/live.mp3?token=secret",
    comment="Recorded by Rolltape.\nNothing is missing.",
    track=2193,
    recorded=datetime(2026, 1, 2, 9, 0, tzinfo=BERLIN),
    coverage=0.99876,
    verdict="complete",
)


@pytest.fixture(scope="session")
def audio(tmp_path_factory: pytest.TempPathFactory, ffmpeg: str) -> Path:
    file = tmp_path_factory.mktemp("audio") / "audio.mp3"
    options = ["-b:a", "64k", "-id3v2_version", "0", "-map_metadata", "-1"]
    tone = ["-f", "lavfi", "-i", "sine=d=2"]
    subprocess.run([ffmpeg, "-nostdin", "-v", "error", *tone, *options, str(file)], check=True)
    return file


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / ".show.mp3.part"


@pytest.fixture(scope="session")
def cover() -> bytes:
    made = BytesIO()
    Image.effect_noise((900, 900), 90).save(made, "PNG")
    return cover_jpeg(made.getvalue())


def frames(file: Path) -> dict[str, str]:
    """What is in the tag, as it is there."""
    return {name: str(frame) for name, frame in ID3(file, translate=False).items() if not name.startswith("APIC")}


def length(file: Path) -> float:
    """In seconds, as Mutagen has it."""
    info: Any = MP3(file).info
    return float(info.length)


def by_ffprobe(file: Path) -> dict[str, str]:
    command = [program("ffprobe"), "-v", "error", "-show_format", "-show_streams", "-of", "json", str(file)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    tags: dict[str, str] = found["format"]["tags"]
    return tags


def test_every_tag_of_version_3_is_there(audio: Path, part: Path):
    write(audio, part, TAGS, None)

    assert ID3(part).version == (2, 3, 0)
    assert frames(part) == {
        "TIT2": "2026-01-02 Morgenshow",
        "TPE1": "Büro für Radio",
        "TALB": "Die Show 🎵",
        "TPE2": "Radio Eins",
        "TCON": "Talk",
        "TRCK": "2193",
        "TYER": "2026",
        "TDAT": "0201",
        "TIME": "0900",
        "TRSN": "Radio Eins",
        "WOAS": "https://***@radio.example:8000/live.mp3?***",
        "COMM::eng": "Recorded by Rolltape.\nNothing is missing.",
        "TXXX:COVERAGE": "0.9988",
        "TXXX:VERDICT": "complete",
    }


def test_every_tag_of_version_4_is_there(audio: Path, part: Path):
    write(audio, part, TAGS, None, version=4)

    assert ID3(part).version == (2, 4, 0)
    found = frames(part)
    assert found["TDRC"] == "2026-01-02 09:00"
    assert found["TALB"] == "Die Show 🎵"
    assert not {"TYER", "TDAT", "TIME"} & set(found)


@pytest.mark.parametrize("version", [3, 4])
def test_ffprobe_reads_them_too(audio: Path, part: Path, cover: bytes, version: int):
    write(audio, part, TAGS, cover, version=version)

    found = by_ffprobe(part)
    assert found["title"] == TAGS.title
    assert found["artist"] == TAGS.artist
    assert found["album"] == TAGS.album
    assert found["album_artist"] == TAGS.album_artist
    assert found["track"] == "2193"
    assert found["genre"] == "Talk"
    assert found["date"].startswith("2026-01-02")
    assert "09:00" in found["date"]
    assert found["comment"] == TAGS.comment
    assert found["COVERAGE"] == "0.9988"
    assert "secret" not in json.dumps(found)


@pytest.mark.parametrize(("hour", "minute", "expected"), [(0, 0, "0000"), (9, 0, "0900"), (23, 59, "2359")])
def test_the_time_is_there_on_the_full_hour_too(audio: Path, part: Path, hour: int, minute: int, expected: str):
    write(audio, part, replace(TAGS, recorded=TAGS.recorded.replace(hour=hour, minute=minute)), None)

    assert frames(part)["TIME"] == expected


@pytest.mark.parametrize("version", [3, 4])
def test_the_audio_is_untouched_and_can_be_played(audio: Path, part: Path, cover: bytes, version: int):
    written = write(audio, part, TAGS, cover, version=version)

    content = part.read_bytes()
    assert content.endswith(audio.read_bytes())
    assert content.startswith(b"ID3")
    assert content[-128:][:3] != b"TAG"
    assert written == Written(Bytes(len(content)), hashlib.sha256(content).hexdigest())
    assert length(part) == pytest.approx(length(audio))
    for command in (
        ["ffmpeg", "-v", "error", "-xerror", "-i", str(part), "-f", "null", "-"],
        ["mpg123", "-q", "-t", str(part)],
    ):
        played = subprocess.run([program(command[0]), *command[1:]], capture_output=True, check=True)
        assert played.stderr == b""
    checked = subprocess.run([program("mp3val"), str(part)], capture_output=True, check=True).stdout
    assert b"WARNING" not in checked
    assert b"ID3v2" in checked


def test_the_cover_is_the_front_cover(audio: Path, part: Path, cover: bytes):
    write(audio, part, TAGS, cover)

    picture = ID3(part).getall("APIC")[0]
    assert (picture.type, picture.encoding, picture.desc, picture.mime) == (3, 0, "", "image/jpeg")
    assert picture.data == cover


def test_there_is_room_for_other_tags(audio: Path, part: Path):
    write(audio, part, TAGS, None)

    room = part.stat().st_size - audio.stat().st_size
    assert PADDING < room < PADDING + 4096


def test_what_is_empty_is_left_out(audio: Path, part: Path):
    nothing = replace(
        TAGS, title="", artist=" ", album="\x00", genre="", station="", source_url="", comment="", track=0
    )

    write(audio, part, nothing, None)

    assert set(frames(part)) == {"TPE2", "TYER", "TDAT", "TIME", "TXXX:COVERAGE", "TXXX:VERDICT"}


def test_the_account_is_in_frames_of_its_own(audio: Path, part: Path):
    measured = Measured(
        gaps=2, missing=Seconds(12.3456), late=Seconds(0), short=Seconds(1.5), takes=3, longest_stall=Seconds(8.04),
        silent_share=0.01234, loudness=-23.456, peak=0.98765,
    )  # fmt: skip

    write(audio, part, replace(TAGS, measured=measured), None)

    found = {name: text for name, text in frames(part).items() if "ROLLTAPE" in name or "REPLAYGAIN" in name}
    assert found == {
        "TXXX:ROLLTAPE_GAPS": "2",
        "TXXX:ROLLTAPE_MISSING": "12.346",
        "TXXX:ROLLTAPE_LATE": "0.000",
        "TXXX:ROLLTAPE_SHORT": "1.500",
        "TXXX:ROLLTAPE_TAKES": "3",
        "TXXX:ROLLTAPE_LONGEST_STALL": "8.0",
        "TXXX:ROLLTAPE_SILENT_SHARE": "0.0123",
        "TXXX:ROLLTAPE_LOUDNESS": "-23.46 LUFS",
        "TXXX:REPLAYGAIN_TRACK_GAIN": "5.46 dB",
        "TXXX:REPLAYGAIN_TRACK_PEAK": "0.987650",
    }


def test_what_was_not_measured_is_in_no_frame(audio: Path, part: Path):
    unknown = Measured(gaps=0, missing=Seconds(0), late=Seconds(0), short=Seconds(0), takes=1)

    write(audio, part, replace(TAGS, measured=unknown), None)

    found = set(frames(part))
    assert "TXXX:ROLLTAPE_GAPS" in found
    assert not {name for name in found if "STALL" in name or "SILENT" in name or "LOUD" in name or "GAIN" in name}


def test_what_is_left_from_before_is_replaced_not_written_into(audio: Path, part: Path, tmp_path: Path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    part.symlink_to(precious)

    write(audio, part, TAGS, None)

    assert precious.read_text() == "precious"
    assert not part.is_symlink()


def test_a_failure_leaves_no_part(audio: Path, part: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(audio, part, TAGS, None)

    assert not part.exists()
    assert audio.exists()


def test_the_part_is_synced(audio: Path, part: Path, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: sizes.append(os.fstat(file).st_size))

    written = write(audio, part, TAGS, None)

    assert sizes == [written.size]


NASTY = st.one_of(
    st.text(st.characters(), max_size=60),
    st.sampled_from(
        [
            "a\x00b",
            "line\r\nline",
            "\ud800half",
            "\u202eright to left",
            "👩‍👩‍👧",
            "x" * 10_000,
            "ä" * 10_000,
            "\ufeff",
            "\x1b[31m",
        ]
    ),
)


@given(text=NASTY, url=NASTY, version=st.sampled_from([3, 4]))
@settings(max_examples=100, deadline=None)
def test_no_text_is_too_much(text: str, url: str, version: int):
    tags = replace(TAGS, title=text, artist=text, genre=text, comment=text, station=text, source_url=url, verdict=text)

    made = tag_bytes(tags, None, version=version)

    read = ID3(BytesIO(made), translate=False)
    title = str(read["TIT2"]) if "TIT2" in read else ""
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in title)
    assert shown(title) == shown(text.encode("utf-8", "replace").decode("utf-8"))


def shown(text: str) -> str:
    return "".join(char for char in text if char.isprintable() and char != " ")


@given(host=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_passwords_never_get_into_a_tag(host: str):
    made = tag_bytes(replace(TAGS, source_url=f"http://me:hunter2@{host}/x?key=hunter2"), None, version=3)

    assert b"hunter2" not in made
