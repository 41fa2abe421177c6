"""A sample of `make fuzz`: known good inputs, and some hundred damaged ones, the same every time."""

import time
from collections.abc import Sequence

import pytest

from tests.fuzz.mutate import inputs, seeds
from tests.fuzz.targets import TARGETS

INPUTS = 250  # for each target
LONGEST = 1.0  # s of CPU for one input; the slowest takes a hundredth


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, ffmpeg: str) -> dict[str, Sequence[bytes]]:
    return seeds(tmp_path_factory.mktemp("seeds"), ffmpeg)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_can_be_read(name: str, good: dict[str, Sequence[bytes]]) -> None:
    for data in inputs(good[name], INPUTS):
        began = time.process_time()

        TARGETS[name](data)

        assert time.process_time() - began < LONGEST, data
