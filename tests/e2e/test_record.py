"""`rolltape record` and its neighbours, as typed."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from mutagen.id3 import ID3
from PIL import Image

from tests.servers.icecast import Icecast
from tests.servers.kinds import KINDS, station
from tests.servers.process import free_port, program, wait_until
from tests.servers.rolltape import PROGRAM

LENGTH = float(os.environ.get("RECORD_LENGTH", "5"))  # s


@pytest.fixture
def source(request: pytest.FixtureRequest, icecast_server: Icecast, tmp_path: Path) -> Iterator[str]:
    with station(request.param, icecast_server, tmp_path) as url:
        yield url


def rolltape(*words: str | Path, within: float = 90) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if not name.startswith("ROLLTAPE_")}
    command = [str(word) for word in (PROGRAM, *words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=within, check=False, env=env | {"TZ": "UTC"})


def probed(file: Path) -> dict[str, Any]:
    command: list[str | Path] = [
        program("ffprobe"),
        "-v",
        "error",
        "-of",
        "json",
        "-show_format",
        "-show_streams",
        file,
    ]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def decoded_seconds(file: Path) -> float:
    """How long the audio is, decoded strictly."""
    command: list[str | Path] = [
        program("ffmpeg"), "-v", "error", "-xerror", "-i", file, "-map", "0:a", "-f", "s16le", "-ac", "1",
        "-ar", "8000", "pipe:1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return len(done.stdout) / 2 / 8000


@pytest.mark.parametrize("source", KINDS, indirect=True)
def test_every_kind_of_source_becomes_a_sound_mp3(source: str, tmp_path: Path) -> None:
    out = tmp_path / "out"

    done = rolltape(
        "record", source, "--for", f"{LENGTH:g}s", "--out", out, "--show", "Show", "--artist", "Artist",
        "--album", "Album", *(["--insecure"] if source.startswith("rtmps") else []),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    file = Path(done.stdout.splitlines()[-1])
    assert file.parent == out
    assert abs(decoded_seconds(file) - LENGTH) < 0.3
    checked = subprocess.run([program("mp3val"), file], capture_output=True, text=True, check=True).stdout
    assert "WARNING" not in checked
    assert "ERROR" not in checked
    tags = probed(file)["format"]["tags"]
    today = datetime.now(UTC).date()
    assert tags["title"] in (f"{today} Show", f"{today.fromordinal(today.toordinal() - 1)} Show")
    assert (tags["artist"], tags["album"], tags["album_artist"]) == ("Artist", "Album", "Artist")
    assert tags["track"] == str((date.fromisoformat(tags["title"][:10]) - date(2020, 1, 1)).days)
    assert sorted(path.name for path in out.iterdir()) == [file.name]


def test_tags_and_cover_are_those_that_were_asked_for(mp3_station: str, tmp_path: Path) -> None:
    Image.new("RGB", (1200, 800), "navy").save(tmp_path / "cover.webp")

    done = rolltape(
        "record", mp3_station, "--for", "2s", "--out", tmp_path, "--artist", "Ä", "--album", "B", "--album-artist", "C",
        "--title", "{show} of {year}", "--show", "D", "--cover", tmp_path / "cover.webp",
    )  # fmt: skip

    file = Path(done.stdout.splitlines()[-1])
    tags = ID3(file, translate=False)
    year = datetime.now(UTC).year
    assert [str(tags[name]) for name in ("TPE1", "TALB", "TPE2", "TIT2")] == ["Ä", "B", "C", f"D of {year}"]
    assert str(tags["TRSN"]) == "Test Radio"
    assert tags.version == (2, 3, 0)
    assert {"TYER", "TDAT", "TIME"} <= set(tags)
    video = next(stream for stream in probed(file)["streams"] if stream["codec_type"] == "video")
    assert (video["codec_name"], video["width"], video["height"]) == ("mjpeg", 600, 400)
    assert not file.read_bytes()[-128:].startswith(b"TAG")


def test_two_recordings_of_one_name_are_two_files(mp3_station: str, tmp_path: Path) -> None:
    names = set()
    for _ in range(2):
        done = rolltape("record", mp3_station, "--for", "1s", "--out", tmp_path, "--show", "Same")
        names.add(Path(done.stdout.splitlines()[-1]).name)

    assert len(names) == 2
    assert {path.name for path in tmp_path.glob("*.mp3")} == names


def test_an_interrupt_ends_it_and_keeps_what_there_is(mp3_station: str, tmp_path: Path) -> None:
    command: list[str | Path] = [PROGRAM, "record", mp3_station, "--for", "1h", "--out", tmp_path, "--show", "Show"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    takes = tmp_path / ".takes"
    wait_until(lambda: any(file.stat().st_size > 100_000 for file in takes.rglob("take-*")), "some audio")

    process.send_signal(signal.SIGINT)
    output, told = process.communicate(timeout=60)

    assert process.returncode == 3, told
    assert "short" in told
    assert decoded_seconds(Path(output.splitlines()[-1])) > 1
    assert not takes.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["record", "nonsense", "--for", "5s"], "address"),
        (["record", "file:///etc/passwd", "--for", "5s"], "file:"),
        (["record", "http://127.0.0.1/", "--for", "soon"], "length"),
        (["record", "http://127.0.0.1/", "--for", "0s"], "length"),
        (["record", "http://127.0.0.1/", "--for", "5s", "--quality", "best"], "quality"),
        (["record", "http://127.0.0.1/", "--for", "5s", "--title", "{nothing}"], "{nothing}"),
        (["record", "http://127.0.0.1/", "--for", "5s", "--cover", "/nowhere.jpg"], "/nowhere.jpg"),
        (["probe", "nonsense"], "address"),
        (["serve", "--port", "99999"], "ROLLTAPE_PORT"),
    ],
)
def test_nonsense_gets_one_sentence(words: list[str], said: str, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out")] if words[0] == "record" else []

    done = rolltape(*words, *out)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_nothing_recorded_is_told_with_the_reason(tmp_path: Path) -> None:
    done = rolltape("record", f"http://127.0.0.1:{free_port()}/", "--for", "2s", "--out", tmp_path)

    assert done.returncode == 1
    assert "refuses the connection" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_probe_says_what_is_on_offer(mp3_station: str) -> None:
    offer = json.loads(rolltape("probe", "--json", mp3_station).stdout)
    told = rolltape("probe", mp3_station).stdout

    assert (offer["codec"], offer["bit_rate"], offer["sample_rate"], offer["channels"]) == ("mp3", 128000, 44100, 1)
    assert offer["station"] == "Test Radio"
    assert re.search(r"^codec: mp3$", told, re.MULTILINE)


def test_the_demonstration_works_offline(tmp_path: Path) -> None:
    done = rolltape("demo", "--out", tmp_path / "demo")

    assert done.returncode == 0, done.stderr
    file = Path(done.stdout.splitlines()[-1])
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest in done.stdout
    assert "complete: 15.0 s recorded" in done.stdout


def test_health_of_what_does_not_run() -> None:
    done = rolltape("health", "--port", str(free_port()))

    assert done.returncode == 1
    assert "does not answer" in done.stderr


def test_the_program_is_there_by_its_name() -> None:
    assert rolltape("--version").stdout.strip() == "0.1.0"
    assert "record" in rolltape("--help").stdout
    assert shutil.which(str(PROGRAM))
