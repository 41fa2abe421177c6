"""What fails every few seconds in the same way is told once."""

import pytest

from rolltape.services import repeats
from rolltape.services.repeats import Repeats


def test_the_same_failure_is_told_once_until_it_goes_well_again() -> None:
    found = Repeats()

    told = [found.is_news(OSError("full")) for _ in range(3)]
    other = found.is_news(OSError("broken"))
    found.well()

    assert told == [True, False, False]
    assert other
    assert found.is_news(OSError("broken"))


def test_a_failure_that_lasts_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Repeats()
    found.is_news(OSError("full"))

    monkeypatch.setattr(repeats, "AGAIN", 0)

    assert found.is_news(OSError("full"))


def test_what_differs_only_in_what_was_to_be_written_is_the_same() -> None:
    found = Repeats()
    first, second = OSError("INSERT 1"), OSError("INSERT 2")
    first.orig = second.orig = ValueError("full")  # type: ignore[attr-defined]

    assert found.is_news(first)
    assert not found.is_news(second)
