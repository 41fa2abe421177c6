"""The journal is read back, whatever a crash left of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolltape.capture.journal import (
    NAME,
    Journal,
    JournalWriter,
    format_fields,
    make_up_for,
    read_journal,
    window_fields,
)
from rolltape.domain.recording import Window
from rolltape.domain.take import AudioFormat, Codec
from rolltape.domain.units import Hertz
from tests.capture.test_frames import MP3_FRAME
from tests.servers.disks import disk, fill

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
MP3 = AudioFormat(Codec.MP3, Hertz(44100), 2)
FRAME = 1152 / 44100


def write(folder: Path, *, closed: bool = True) -> None:
    """One take of 100 frames, of which the journal knew 40 at its last sync."""
    (folder / "take-001.mp3").write_bytes(MP3_FRAME * 100)
    journal = JournalWriter(folder)
    journal.write("window", AT, **window_fields(Window(AT, AT, AT + timedelta(60), AT + timedelta(60))))
    journal.write("station", AT, name="Radio")
    journal.write("opened", AT, take=1, file="take-001.mp3", **format_fields(MP3))
    journal.write("title", AT, title="Ä title")
    begins = (AT - timedelta(seconds=4)).isoformat()
    journal.write("sync", AT, take=1, begins=begins, media=40 * FRAME, bytes=40 * len(MP3_FRAME))
    if closed:
        journal.write(
            "closed", AT, take=1, begins=begins, media=100 * FRAME, bytes=100 * len(MP3_FRAME), ended_by="The end."
        )
    journal.close()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path)

    journal = read_journal(tmp_path)

    (take,) = journal.takes
    assert (take.number, take.file, take.ended_by) == (1, "take-001.mp3", "The end.")
    assert take.duration == pytest.approx(100 * FRAME)
    assert take.begins == AT - timedelta(seconds=4)
    assert take.format == AudioFormat(Codec.MP3, Hertz(44100), 2, take.format.bit_rate)
    assert journal.window is not None
    assert (journal.station, journal.titles, journal.stopped) == ("Radio", ((AT, "Ä title"),), False)


def test_a_title_that_came_with_the_burst_was_on_the_air_before(tmp_path: Path) -> None:
    write(tmp_path)
    journal = JournalWriter(tmp_path)
    journal.write("title", AT, title="Second", take=1, media=1.5)
    journal.write("title", AT, title="Of a take that is gone", take=9, media=1.5)
    for take, media in (("x", 1), (1, -1), (1, float("nan")), (1, 1e300), (None, 1)):
        journal.write("title", AT, title="Nonsense", take=take, media=media)
    journal.close()

    titles = read_journal(tmp_path).titles

    begins = AT - timedelta(seconds=4)
    assert titles[1:] == ((begins + timedelta(seconds=1.5), "Second"), (AT, "Of a take that is gone"))


def test_after_a_crash_the_frames_in_the_file_count(tmp_path: Path) -> None:
    write(tmp_path, closed=False)
    with (tmp_path / "take-001.mp3").open("ab") as file:
        file.write(MP3_FRAME[:200])

    (take,) = read_journal(tmp_path).takes

    assert take.duration == pytest.approx(100 * FRAME, abs=0.001)
    assert take.ended_by == "Rolltape was interrupted."


def test_a_file_shorter_than_the_journal_says_is_measured_anew(tmp_path: Path) -> None:
    write(tmp_path, closed=False)
    (tmp_path / "take-001.mp3").write_bytes(MP3_FRAME * 10)

    (take,) = read_journal(tmp_path).takes

    assert take.duration == pytest.approx(10 * FRAME)


def test_a_take_without_a_file_or_without_audio_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, closed=False)
    (tmp_path / "take-001.mp3").write_bytes(b"")
    assert read_journal(tmp_path).takes == ()

    (tmp_path / "take-001.mp3").unlink()
    assert read_journal(tmp_path).takes == ()


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == Journal()
    assert read_journal(tmp_path / "nowhere") == Journal()


def test_a_take_never_lies_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "session").mkdir()
    (tmp_path / "secret.mp3").write_bytes(MP3_FRAME * 10)
    line = {"event": "opened", "at": AT.isoformat(), "take": 1, "file": "../secret.mp3", **format_fields(MP3)}
    (tmp_path / "session" / NAME).write_text(json.dumps(line))

    assert read_journal(tmp_path / "session").takes == ()


@settings(max_examples=200)
@given(cut=st.integers(0, 1200), end=st.binary(max_size=50))
def test_a_torn_end_costs_only_what_was_torn(tmp_path_factory: pytest.TempPathFactory, cut: int, end: bytes) -> None:
    folder = tmp_path_factory.mktemp("torn")
    write(folder)
    path = folder / NAME
    path.write_bytes(path.read_bytes()[:cut] + end)

    journal = read_journal(folder)
    writer = JournalWriter(folder)
    writer.write("stopped", AT)
    writer.close()

    assert read_journal(folder).stopped
    assert read_journal(folder).takes == journal.takes


def test_the_longest_stall_counts_and_nonsense_does_not(tmp_path: Path) -> None:
    write(tmp_path)
    known = read_journal(tmp_path).takes
    journal = JournalWriter(tmp_path)
    for stall in (1.5, 4.5, 0.2, -1, 1e300, float("nan"), "long", None):
        begins = (AT - timedelta(seconds=4)).isoformat()
        journal.write("sync", AT, take=1, begins=begins, media=100 * FRAME, bytes=100 * len(MP3_FRAME), stall=stall)
    journal.close()

    found = read_journal(tmp_path)

    assert found.longest_stall == 4.5
    assert found.takes == known


def test_a_journal_of_before_tells_of_no_stall(tmp_path: Path) -> None:
    write(tmp_path)

    assert read_journal(tmp_path).longest_stall is None


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just(AT.isoformat()),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=3,
)
_EVENTS = st.sampled_from(["window", "opened", "sync", "closed", "station", "title", "stopped"])
_NAMES = ("at", "take", "file", "codec", "begins", "media", "bytes", "opens", "start", "title", "channels", "stall")
_LINES = st.fixed_dictionaries({"event": _EVENTS | _VALUES}, optional=dict.fromkeys(_NAMES, _VALUES))


@given(st.lists(_LINES, max_size=8), st.binary(max_size=60))
def test_any_lines_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict[str, object]], garbage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    write(folder)
    with (folder / NAME).open("ab") as file:
        file.write(garbage + b"\n" + "\n".join(json.dumps(line) for line in lines).encode())

    journal = read_journal(folder)

    assert all(take.duration >= 0 for take in journal.takes)
    assert journal.longest_stall is None or journal.longest_stall >= 0


def test_a_line_that_does_not_fit_on_the_disk_spoils_no_other(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "size=64k") as folder:
        write(folder, closed=False)
        journal = JournalWriter(folder)
        filler = fill(folder)
        with pytest.raises(OSError, match="No space left"):
            journal.write("station", AT, name="x" * 5000)  # some of it fits

        filler.unlink()
        journal.write("station", AT, name="After")
        journal.close()

        assert read_journal(folder).station == "After"
        assert all(json.loads(line) for line in (folder / NAME).read_text().splitlines())


def test_how_a_take_ended_is_entered_when_it_can_be(tmp_path: Path) -> None:
    write(tmp_path, closed=False)
    (left,) = read_journal(tmp_path).takes
    known = replace(left, ended_by="The disk was full.")

    make_up_for(tmp_path, [known, replace(known, number=2)])
    size = (tmp_path / NAME).stat().st_size
    make_up_for(tmp_path, [known])

    (take,) = read_journal(tmp_path).takes
    assert (take.ended_by, take.begins) == ("The disk was full.", left.begins)
    assert take.duration == pytest.approx(100 * FRAME, abs=0.001)
    assert (tmp_path / NAME).stat().st_size == size  # it is entered once


def test_a_number_that_is_given_again_is_that_of_the_later_take(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "take-001.mp3").write_bytes(MP3_FRAME * 10)  # of the one before, somebody has removed the file
    journal = JournalWriter(tmp_path)
    journal.write("opened", AT, take=1, file="take-001.mp3", **format_fields(MP3))
    journal.close()

    (take,) = read_journal(tmp_path).takes

    assert take.duration == pytest.approx(10 * FRAME)
    assert take.ended_by == "Rolltape was interrupted."


@pytest.mark.parametrize(("begins", "media"), [(AT.isoformat(), 1e300), ("9999-12-31T23:59:59+00:00", 5.0)])
def test_a_line_that_no_clock_can_have_written_is_passed_over(tmp_path: Path, begins: str, media: float) -> None:
    write(tmp_path)
    known = read_journal(tmp_path)
    journal = JournalWriter(tmp_path)
    journal.write("closed", AT, take=1, begins=begins, media=media, bytes=10, ended_by="x")
    journal.close()

    assert read_journal(tmp_path) == known
