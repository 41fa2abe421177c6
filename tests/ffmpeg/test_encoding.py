"""The arguments of FFmpeg for what lies on the disk."""

from pathlib import Path

import pytest

from rolltape.domain.units import Hertz
from rolltape.ffmpeg import encoding

FILE = Path("/takes/12:30 show %d.mp3")
RATE = Hertz(44100)

READING = {
    "format_of": encoding.format_of(FILE),
    "decode": encoding.decode(FILE, sample_rate=RATE, channels=2),
    "judge_mp3": encoding.judge_mp3(FILE, piece=1000),
    "encode_to_mp3": encoding.encode_to_mp3(FILE, quality="V2", sample_rate=RATE, channels=2),
    "follow_to_mp3": encoding.follow_to_mp3(FILE, format="aac", quality="V2", sample_rate=RATE, channels=2),
}
BY_PIPE = ("encode_to_mp3", "follow_to_mp3")


def after(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


@pytest.mark.parametrize("name", READING)
def test_what_is_read_can_be_of_the_known_kinds_only_and_from_one_place(name: str):
    before_input = READING[name][: READING[name].index("-i")]

    assert after(before_input, "-protocol_whitelist") == ("pipe" if name in BY_PIPE else "file")
    assert "concat" not in after(before_input, "-format_whitelist")
    assert "hls" not in after(before_input, "-format_whitelist")
    assert after(before_input, "-codec_whitelist")


@pytest.mark.parametrize("name", READING)
def test_a_name_of_a_file_is_never_anything_else(name: str):
    assert f"file:{FILE}" in READING[name]
    assert str(FILE) not in READING[name]


def test_a_part_of_an_mp3_is_read_from_the_pipe_alone():
    arguments = encoding.judge_mp3(None, piece=1000, lead=1152)

    assert after(arguments, "-protocol_whitelist") == "pipe"
    assert after(arguments, "-i") == "pipe:0"
    assert after(arguments, "-af").startswith("atrim=start_sample=1152,")


@pytest.mark.parametrize("name", READING)
def test_nothing_waits_for_a_keyboard(name: str):
    assert "-nostdin" in READING[name]


@pytest.mark.parametrize(
    ("quality", "option", "value"), [("V2", "-q:a", "2"), ("V0", "-q:a", "0"), ("128k", "-b:a", "128k")]
)
def test_a_quality_is_variable_or_a_bit_rate(quality: str, option: str, value: str):
    arguments = encoding.encode_to_mp3(FILE, quality=quality, sample_rate=RATE, channels=1)

    assert after(arguments, option) == value
    assert {"-q:a", "-b:a"} & set(arguments) == {option}


def test_an_encoded_file_has_a_seek_header_and_no_tags():
    arguments = encoding.encode_to_mp3(FILE, quality="V2", sample_rate=RATE, channels=2)

    assert after(arguments, "-write_xing") == "1"
    assert after(arguments, "-id3v2_version") == "0"
    assert after(arguments, "-write_id3v1") == "0"
    assert after(arguments, "-map_metadata") == "-1"


def test_a_fault_ends_the_judging_but_not_the_decoding_of_a_take():
    assert "-xerror" in READING["judge_mp3"]
    assert "-xerror" not in READING["decode"]
