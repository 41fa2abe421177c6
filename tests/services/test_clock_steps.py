"""A clock that is set is noticed, and one that goes a little wrong is not."""

import pytest

from rolltape.services.clock_steps import ClockSteps


class Clocks:
    wall = 1_000_000.0
    steady = 50.0

    def pass_by(self, seconds: float, *, wall: float | None = None) -> None:
        self.steady += seconds
        self.wall += seconds if wall is None else wall


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def steps(clocks: Clocks) -> ClockSteps:
    return ClockSteps(lambda: clocks.wall, lambda: clocks.steady)


def test_time_that_passes_is_no_step(clocks: Clocks, steps: ClockSteps) -> None:
    for _ in range(100):
        clocks.pass_by(3600, wall=3600.5)  # a clock that gains
        assert steps.finding() is None


@pytest.mark.parametrize(
    ("wall", "said"),
    [(660.0, "set ahead by 10 minutes"), (-3540.0, "set back by 1 hour"), (30.0, "set back by 30 seconds")],
)
def test_a_step_is_told_for_an_hour(clocks: Clocks, steps: ClockSteps, wall: float, said: str) -> None:
    clocks.pass_by(60, wall=wall)

    found = steps.finding()
    clocks.pass_by(3599)
    later = steps.finding()
    clocks.pass_by(2)

    assert found is not None
    assert (found.code, found.level) == ("clock_step", "warning")
    assert said in found.message
    assert later == found
    assert steps.finding() is None


def test_the_last_of_several_steps_is_told(clocks: Clocks, steps: ClockSteps) -> None:
    clocks.pass_by(60, wall=3660)
    steps.finding()
    clocks.pass_by(60, wall=-3540)

    found = steps.finding()

    assert found is not None
    assert "set back by 1 hour" in found.message
