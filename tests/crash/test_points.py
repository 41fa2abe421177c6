"""A sample of `make crash-test`: some points of each step, the same every time, and the tool itself."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.contract import disorder
from tests.crash.points import MODES, Mode, Point, Worker, every_point, worker
from tests.crash.shim import Call, Kind
from tests.crash.steps import STEPS

MODE = {mode.name: mode for mode in MODES}


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory, ffmpeg: str) -> Iterator[Worker]:
    with worker(tmp_path_factory.mktemp("crash"), ffmpeg) as made:
        yield made


@pytest.mark.parametrize("step", STEPS)
def test_broken_off_or_refused_at_some_calls_it_comes_to_the_same_end(step: str, hands: Worker) -> None:
    hands.take_up(step)

    points = list(_some(hands))

    assert [point for point in points if point.problems] == []
    assert any(point.call for point in points)


def _some(hands: Worker) -> Iterator[Point]:
    """Few, for each is two processes with all of Rolltape in them."""
    yield hands.strike(MODE["kill"], 12)
    yield hands.strike(MODE["torn"], 7)
    yield hands.strike(MODE["ENOSPC on"], 5)
    yield hands.strike(MODE["EIO"], 9)


@pytest.mark.parametrize(
    ("step", "mode", "call"),
    [
        ("finalise", "kill", "sync recordings/Harbour"),
        ("finalise", "EIO", "sync recordings/Harbour/2026/."),
        ("deliver to a folder", "EIO", "unlink there/Harbour"),
        ("deliver to a folder", "kill", "sync there/Harbour"),
        ("clean up", "EMFILE", "open rolltape.db"),
        ("clean up", "EIO", "unlink recordings/.takes/1/take-001.mp3"),
        ("retention", "kill", "unlink recordings/2026-05-28 Show.mp3"),
    ],
)
def test_where_it_once_went_wrong_it_does_not_any_more(step: str, mode: str, call: str, hands: Worker) -> None:
    calls = hands.take_up(step)
    nth = hands.number_of(calls, MODE[mode], call)

    point = hands.strike(MODE[mode], nth)

    assert point.call.startswith(call)
    assert point.problems == ()


def test_a_server_that_can_rename_only_by_halves_has_the_recording_in_the_end(hands: Worker) -> None:
    points = list(every_point(hands, "deliver by SSH, the server", [MODE["ENOSPC on"]]))

    assert any(point.call.startswith("unlink there/Harbour") for point in points)
    assert [point for point in points if point.problems] == []


def test_what_is_lost_is_seen(hands: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract is looked at by something that can see a breach: here, a recording that somebody cuts in half."""
    hands.take_up("finalise")
    monkeypatch.setattr(hands, "meanwhile", lambda data: _halve(next(data.glob("recordings/*/*/2*.mp3"))))

    found = hands.strike(Mode("none", errno.EIO, Kind.NONE), 10_000)

    assert any("is not whole" in problem for problem in found.problems)


def _halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (None, []),
        (("sync", "/d/recordings/.x.part"), ["/d/recordings/Show.mp3 got its name before it was synced"]),
        (
            ("sync", "/d/recordings"),
            ["the database says that it is finished, before these folders are synced: ['/d/recordings']"],
        ),
    ],
)
def test_an_order_that_a_power_cut_would_punish_is_seen(missing: tuple[str, str] | None, told: list[str]) -> None:
    part, final = "/d/recordings/.x.part", "/d/recordings/Show.mp3"
    calls = [
        ("write", part, ""), ("sync", part, ""), ("link", part, final), ("unlink", part, ""),
        ("sync", "/d/recordings", ""), ("says", "finished", ""),
    ]  # fmt: skip
    kept = [Call("call", call, path, other) for call, path, other in calls if (call, path) != missing]

    found = list(disorder(kept, Path("/d")))

    assert found == told
