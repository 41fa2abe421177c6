"""Names that every system takes, and no two alike."""

import os
import unicodedata
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pathvalidate import is_valid_filename

from rolltape.domain import pattern
from rolltape.domain.errors import InputError
from rolltape.tag import file_path, free_name, part_name
from rolltape.tag.naming import LONGEST_NAME


def values(show: str = "Show", stream: str = "Station") -> dict[str, str]:
    start = datetime(2026, 1, 2, 9, tzinfo=UTC)
    return pattern.values(start=start, show=show, stream=stream, artist="Artist", album="Album")


def test_a_pattern_makes_folders_and_a_name():
    path = file_path("{stream}/{year}/{date} {show}", values("Morning"))

    assert path == PurePosixPath("Station/2026/2026-01-02 Morning.mp3")


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        ("A/B\\C", "A-B-C"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", None),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("trailing. . ", "trailing"),
        ("12:30 Uhr?", "12-30 Uhr-"),
        ("CON", "CON_"),
        ("com1.live", "com1_.live"),
        ("Console", "Console"),
        ("a\u00a0b\u2028c\td", "a b c d"),
        ("\u202eevil\u2066", "evil"),
        ("e\u0301", "é"),
        ("half \ud83c pair", "half pair"),
        ("nul\x00l", "null"),
        ("👩‍👩‍👧 family", "👩👩👧 family"),
        ("$(rm -rf) `id`", "$(rm -rf) `id`"),
        (" ", None),
        ("\u200b\u200d", None),
    ],
)
def test_what_stands_for_a_name_stays_inside_one_part(show: str, expected: str | None):
    if expected is None:
        with pytest.raises(InputError) as caught:
            file_path("{show}", values(show))
        assert caught.value.field == "filename_pattern"
    else:
        assert file_path("{show}", values(show)) == PurePosixPath(f"{expected}.mp3")


def test_parts_of_which_nothing_is_left_are_left_out():
    assert file_path("/../{show}/./{date}", values("..")) == PurePosixPath("2026-01-02.mp3")


def test_a_long_name_is_cut_at_a_whole_character_and_keeps_its_suffix():
    path = file_path("{show}", values("é" * 300))

    assert path.name == "é" * 99 + ".mp3"
    assert len(os.fsencode(part_name(path).name)) <= LONGEST_NAME


def test_a_deep_pattern_stays_a_path_every_system_takes():
    path = file_path("/".join(["{show}"] * 50), values("long " * 60))

    assert len(os.fsencode(str(path))) < 1000
    assert len(path.parts) == 9


@pytest.mark.parametrize("wrong", ["", "{nothing}", "{show", "{show.__class__}", "{0}", "x" * 600])
def test_a_pattern_that_cannot_be_rendered_is_refused(wrong: str):
    with pytest.raises(InputError):
        file_path(wrong, values())


ANYTHING = st.one_of(
    st.text(st.characters(), max_size=300),
    st.text(st.sampled_from('/\\.:*?"<>|-~ \x00\u202e\u200b\u00a0\u2028\ud800CONcon1é👩😀\u0301%{}'), max_size=300),
    st.sampled_from(
        ["CON", "nul.", "COM¹", "lpt9.x", "CON" + "." * 300 + "x", "CON ", "aux\u200b", "\u212a", "x" * 1000]
    ),
)


@given(show=ANYTHING, stream=ANYTHING, shape=st.sampled_from(["{show}", "{stream}/{show}", "{show}/{date}{stream}"]))
@settings(max_examples=2500, deadline=None)
@example(show="CON" + "." * 300 + "x", stream="..", shape="{stream}/{show}")
def test_every_name_is_safe_everywhere(show: str, stream: str, shape: str):
    try:
        path = file_path(shape, values(show, stream))
    except InputError:
        return

    assert not path.is_absolute()
    assert path.suffix == ".mp3"
    assert 1 <= len(path.parts) <= 1 + shape.count("/")
    for part in path.parts:
        assert_safe(part)
    hidden = part_name(path).name
    assert hidden.startswith(".")
    assert hidden.endswith(".part")
    assert len(os.fsencode(hidden)) <= LONGEST_NAME


def assert_safe(part: str) -> None:
    assert part == unicodedata.normalize("NFC", part)
    assert part not in (".", "..")
    assert 0 < len(part.encode("utf-8")) <= 212
    assert not part.startswith(("-", ".", " "))
    assert not part.endswith((".", " "))
    assert not set(part) & set('/\\:*?"<>|\x00')
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in part)
    assert " ".join(part.split()) == part
    assert is_valid_filename(part, platform="universal", max_len=255)
    assert part.partition(".")[0].upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT1", "COM¹", "LPT9"}


@given(show=ANYTHING)
@settings(max_examples=300, deadline=None)
def test_a_safe_name_stays_as_it_is(show: str):
    try:
        once = file_path("{show}", values(show))
    except InputError:
        return

    assert file_path("{show}", values(once.stem)) == once


WANTED = PurePosixPath("Station/Show.mp3")


def test_a_free_name_is_taken_as_it_is(tmp_path: Path):
    assert free_name(tmp_path, WANTED, taken=None) == WANTED


@pytest.mark.parametrize("there", ["Show.mp3", "show.MP3", "SHOW.mp3"])
def test_a_name_that_exists_in_upper_or_lower_case_is_numbered(tmp_path: Path, there: str):
    (tmp_path / "Station").mkdir()
    (tmp_path / "Station" / there).touch()

    assert free_name(tmp_path, WANTED, taken=None) == PurePosixPath("Station/Show (2).mp3")


def test_composed_and_decomposed_names_are_the_same(tmp_path: Path):
    (tmp_path / "Cafe\u0301.mp3").touch()

    assert free_name(tmp_path, PurePosixPath("Café.mp3"), taken=None) == PurePosixPath("Café (2).mp3")


def test_a_name_that_another_session_has_is_numbered(tmp_path: Path):
    others = {WANTED, PurePosixPath("Station/Show (2).mp3")}

    assert free_name(tmp_path, WANTED, taken=others.__contains__) == PurePosixPath("Station/Show (3).mp3")


def test_a_folder_or_a_broken_link_of_the_name_is_in_the_way_too(tmp_path: Path):
    (tmp_path / "Show.mp3").mkdir()
    (tmp_path / "Show (2).mp3").symlink_to("nowhere")

    assert free_name(tmp_path, PurePosixPath("Show.mp3"), taken=None) == PurePosixPath("Show (3).mp3")


def test_a_numbered_name_is_not_too_long(tmp_path: Path):
    wanted = PurePosixPath("x" * 251 + ".mp3")
    (tmp_path / wanted).touch()

    name = free_name(tmp_path, wanted, taken=None)

    assert name == PurePosixPath("x" * 247 + " (2).mp3")


def test_a_link_out_of_the_folder_of_recordings_is_not_followed(tmp_path: Path):
    base, outside = tmp_path / "base", tmp_path / "outside"
    base.mkdir()
    outside.mkdir()
    (base / "Station").symlink_to(outside)

    with pytest.raises(InputError, match="leads out of the folder"):
        free_name(base, WANTED, taken=None)


@pytest.mark.parametrize(
    "wanted", [PurePosixPath("../x.mp3"), PurePosixPath("/etc/x.mp3"), PurePosixPath("a/../../x.mp3")]
)
def test_a_path_out_of_the_folder_of_recordings_is_refused(tmp_path: Path, wanted: PurePosixPath):
    with pytest.raises(InputError, match="leads out of the folder"):
        free_name(tmp_path, wanted, taken=None)


def test_the_name_while_it_is_written_lies_hidden_beside_it():
    assert part_name(WANTED) == PurePosixPath("Station/.Show.mp3.part")


@given(name=st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1, max_size=255))
def test_the_name_while_it_is_written_is_never_too_long(name: str):
    hidden = part_name(PurePosixPath("folder", name if name not in (".", "..") else "x"))

    assert hidden.parent.name == "folder"
    assert len(os.fsencode(hidden.name)) <= LONGEST_NAME
