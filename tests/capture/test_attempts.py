"""Which address comes next, and when."""

from rolltape.capture.attempts import Attempts
from rolltape.domain.errors import FormatUnsupported, SourceLost, SourceUnreachable
from rolltape.domain.units import Seconds

NEVER, GOOD = Seconds(0), Seconds(60)
LOST, GONE = SourceLost("lost"), SourceUnreachable("gone")


def test_delays_grow_by_a_second_up_to_ten() -> None:
    attempts = Attempts(["a"], None)

    delays: list[float] = [attempts.failed(GONE, lasted=NEVER) for _ in range(13)]

    assert delays == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]
    assert not attempts.are_used_up


def test_a_connection_that_held_is_made_again_at_once_and_counts_as_none() -> None:
    attempts = Attempts(["a"], 3)

    delays: list[float] = [attempts.failed(LOST, lasted=GOOD) for _ in range(5)]

    assert delays == [0, 0, 0, 0, 0]
    assert not attempts.are_used_up


def test_a_connection_that_breaks_at_once_is_not_hammered() -> None:
    attempts = Attempts(["a"], None)

    delays: list[float] = [attempts.failed(LOST, lasted=Seconds(0.5)) for _ in range(4)]

    assert delays == [0, 1, 2, 3]


def test_addresses_take_turns_and_the_first_comes_first_after_a_good_one() -> None:
    attempts = Attempts(["a", "b"], None)
    urls = []
    for lasted in (NEVER, NEVER, NEVER, GOOD):
        urls.append(attempts.url)
        attempts.failed(GONE, lasted=lasted)

    assert [*urls, attempts.url] == ["a", "b", "a", "b", "a"]


def test_attempts_in_a_row_are_limited() -> None:
    attempts = Attempts(["a"], 2)
    attempts.failed(GONE, lasted=NEVER)
    assert not attempts.are_used_up

    attempts.failed(GONE, lasted=NEVER)

    assert attempts.are_used_up


def test_a_server_that_asks_us_to_wait_is_waited_for_where_there_is_no_other() -> None:
    busy = SourceUnreachable("busy", retry_after=Seconds(30))

    assert Attempts(["a"], None).failed(busy, lasted=NEVER) == Seconds(30)
    assert Attempts(["a", "b"], None).failed(busy, lasted=NEVER) == Seconds(0)


def test_it_is_hopeless_once_every_address_sent_what_cannot_be_recorded() -> None:
    attempts = Attempts(["a", "b"], None)
    attempts.failed(FormatUnsupported("a picture"), lasted=NEVER)
    assert not attempts.are_hopeless

    attempts.failed(FormatUnsupported("a picture"), lasted=NEVER)

    assert attempts.are_hopeless
