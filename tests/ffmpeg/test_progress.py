"""Progress of FFmpeg is read as it comes."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolltape.domain.units import Bytes, Seconds
from rolltape.ffmpeg.progress import RunProgress, parse_progress, read_progress

BLOCK = (
    "bitrate= 129.4kbits/s\ntotal_size=81920\nout_time_us=5062000\nout_time_ms=5062000\nspeed=1x\nprogress=continue\n"
)


async def read(output: bytes) -> list[RunProgress]:
    reader = asyncio.StreamReader()
    reader.feed_data(output)
    reader.feed_eof()
    return [progress async for progress in read_progress(reader)]


def test_a_block_tells_time_and_size() -> None:
    assert parse_progress(BLOCK) == RunProgress(Seconds(5.062), Bytes(81920), is_last=False)


def test_before_the_first_packet_nothing_is_known() -> None:
    assert parse_progress("out_time_us=N/A\ntotal_size=N/A\nprogress=end\n") == RunProgress(None, None, is_last=True)


def test_a_number_that_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="many"):
        parse_progress("out_time_us=many\n")


async def test_blocks_are_read_one_by_one_and_broken_ones_passed_over() -> None:
    found = await read((BLOCK + "out_time_us=x\nprogress=continue\n" + BLOCK.replace("continue", "end")).encode())

    assert [progress.is_last for progress in found] == [False, True]


@given(st.binary(max_size=500))
def test_any_output_can_be_read(output: bytes) -> None:
    assert isinstance(asyncio.run(read(output)), list)
