"""Takes that could not be removed when their time came."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from rolltape.domain.facts import plan_facts_of
from rolltape.domain.session import Plan, Session, SessionState
from rolltape.pipeline.leftovers import EVERY, remove_takes
from rolltape.services.facts import write_plan
from tests.pipeline.conftest import Line


async def left(line: Line, **changes: object) -> Path:
    """The takes of a session that is done, beside a plan with these changes."""
    line.now()
    stream = await line.bench.stream("Radio")
    services = line.bench.services
    session = await services.sessions.claim((await services.sessions.record_now(stream, 60)).id)  # type: ignore[arg-type]
    assert session is not None
    plan: Plan = await services.sessions.plan(session)
    folder = line.workshop.takes(session)
    folder.mkdir(parents=True)
    write_plan(plan_facts_of(plan.model_copy(update=changes)), folder)
    (folder / "take-001.mp3").write_bytes(b"audio")
    return folder


async def end(line: Line, **values: object) -> None:
    async with line.bench.database.write() as db:
        await db.execute(update(Session).values(values))


async def test_they_are_removed_at_the_next_start(line: Line) -> None:
    folder = await left(line)
    await end(line, state=SessionState.DONE, sha256="0" * 64)

    await line.pipeline().tidy()

    assert not folder.exists()


async def test_they_are_looked_for_once_an_hour(line: Line) -> None:
    pipeline = line.pipeline()
    await pipeline.tidy()
    folder = await left(line)
    await end(line, state=SessionState.DONE, sha256="0" * 64)

    await pipeline.tidy()
    assert folder.exists()
    pipeline._leftovers._clock = lambda: line.now() + EVERY
    await pipeline.tidy()

    assert not folder.exists()


@pytest.mark.parametrize("state", [SessionState.RECORDING, SessionState.PROCESSING, SessionState.FAILED])
async def test_those_of_a_session_that_is_not_done_stay(line: Line, state: SessionState) -> None:
    folder = await left(line)
    await end(line, state=state, sha256="0" * 64)

    await line.pipeline().tidy()

    assert (folder / "take-001.mp3").exists()


@pytest.mark.parametrize("changes", [{"session_id": 77}, {"start": "another"}])
async def test_those_of_another_database_stay(line: Line, changes: dict[str, object]) -> None:
    if "start" in changes:
        changes = {"start": line.now() - timedelta(days=1)}
    folder = await left(line, **changes)
    await end(line, state=SessionState.DONE, sha256="0" * 64)

    await line.pipeline().tidy()

    assert (folder / "take-001.mp3").exists()


def test_what_says_whose_they_are_goes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("plan.json", "a.mp3", "z.mp3"):
        (tmp_path / name).touch()
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.name == "z.mp3":
            raise OSError(5, "Input/output error")
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)

    remove_takes(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir())[-2:] == ["plan.json", "z.mp3"]
