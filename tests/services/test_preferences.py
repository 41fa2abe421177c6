"""What a person changed counts, unless the environment says otherwise."""

from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from rolltape.domain.errors import InputError
from rolltape.domain.kept_preference import Preference
from rolltape.domain.preference import PreferenceFields
from rolltape.services import Preferences
from tests.services.conftest import Bench


def made(bench: Bench, applied: list[PreferenceFields] | None = None, **locked: str) -> Preferences:
    return Preferences(
        bench.database,
        given=PreferenceFields(timezone="Europe/Berlin"),
        locked=locked,
        apply=(applied if applied is not None else []).append,
    )


async def enter(bench: Bench, **values: Any) -> None:
    """What the table holds, however it came there."""
    async with bench.database.write() as db:
        db.add_all(Preference(name=name, value=value) for name, value in values.items())


async def test_without_a_change_the_defaults_count(bench: Bench) -> None:
    applied: list[PreferenceFields] = []
    preferences = made(bench, applied)

    await preferences.load()

    assert applied == [PreferenceFields(timezone="Europe/Berlin")]
    assert {row.name: row.value for row in preferences.read()} == applied[0].model_dump()
    assert all(row.label and row.help and row.locked_by is None for row in preferences.read())


async def test_a_change_counts_at_once_and_after_the_next_start(bench: Bench) -> None:
    applied: list[PreferenceFields] = []
    preferences = made(bench, applied)

    await preferences.change({"max_concurrent_sessions": "7", "log_level": "debug"})

    assert (applied[-1].max_concurrent_sessions, applied[-1].log_level) == (7, "debug")
    again = made(bench, applied)
    await again.load()
    assert again.values == applied[-1] == preferences.values
    row = next(row for row in again.read() if row.name == "max_concurrent_sessions")
    assert (row.value, row.default, row.unit) == (7, 50, "sessions")


async def test_a_change_to_nothing_brings_the_default_back(bench: Bench) -> None:
    preferences = made(bench)
    await preferences.change({"timezone": "Asia/Tokyo"})

    await preferences.change({"timezone": None})

    assert preferences.values.timezone == "Europe/Berlin"
    async with bench.database.read() as db:
        assert (await db.scalars(select(Preference))).all() == []


async def test_what_the_environment_fixes_cannot_be_changed(bench: Bench) -> None:
    preferences = made(bench, log_level="ROLLTAPE_LOG_LEVEL")

    with pytest.raises(InputError) as refused:
        await preferences.change({"log_retention": 5, "log_level": "debug"})

    assert refused.value.field == "log_level"
    assert "ROLLTAPE_LOG_LEVEL" in refused.value.message
    assert preferences.values.log_retention == 30
    assert next(row for row in preferences.read() if row.name == "log_level").locked_by == "ROLLTAPE_LOG_LEVEL"


async def test_the_environment_goes_before_an_older_change(bench: Bench) -> None:
    await enter(bench, timezone="Asia/Tokyo")
    preferences = made(bench, timezone="TZ")

    await preferences.load()

    assert preferences.values.timezone == "Europe/Berlin"


BAD = [
    ("timezone", "Mars/Olympus"), ("timezone", "../../etc/passwd"), ("timezone", 5), ("timezone", ""),
    ("max_concurrent_sessions", 0), ("max_concurrent_sessions", 10**9), ("max_concurrent_sessions", "many"),
    ("max_concurrent_processing", -1), ("max_concurrent_transfers", 1.5), ("max_transfers_per_destination", 17),
    ("start_early", -1), ("start_early", float("inf")), ("end_late", "nan"), ("end_late", 10**9), ("start_early", []),
    ("log_level", "loud"), ("log_level", ""),
    ("log_level", "INFO"), ("log_levels", "capture"), ("log_levels", "x=debug"),
    ("log_levels", "capture=loud"), ("log_levels", "x" * 10_000), ("log_size", 0), ("log_retention", 0),
    ("log_retention", 10**6), ("nonsense", 1), ("data_dir", "/tmp"), ("__class__", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD, ids=range(len(BAD)))
async def test_a_bad_value_is_refused_and_changes_nothing(bench: Bench, name: str, value: Any) -> None:
    applied: list[PreferenceFields] = []
    preferences = made(bench, applied)
    before = preferences.values

    with pytest.raises(ValidationError) as refused:
        await preferences.change({"log_retention": 5, name: value} if name != "log_retention" else {name: value})

    assert refused.value.errors()[0]["loc"] == (name,)
    assert preferences.values == before
    assert applied == []


async def test_a_stored_value_that_cannot_be_used_any_more_does_not_hinder_the_start(bench: Bench) -> None:
    await enter(bench, timezone="Gone/Zone", log_retention=5, from_the_future=True, log_size={"x": 1})
    preferences = made(bench)

    await preferences.load()

    assert preferences.values == PreferenceFields(timezone="Europe/Berlin", log_retention=5)


async def test_levels_of_parts_are_kept_in_one_form(bench: Bench) -> None:
    preferences = made(bench)

    await preferences.change({"log_levels": " capture = debug ,web=warning,, "})

    assert preferences.values.log_levels == "capture=debug, web=warning"
