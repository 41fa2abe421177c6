"""Preferences: settings that a person changes in the page, and what the environment says of the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from rolltape.domain.errors import InputError
from rolltape.domain.kept_preference import Preference
from rolltape.domain.log import LEVELS, LogLevel
from rolltape.domain.preference import Fixed, PreferenceFields
from rolltape.domain.stream import StreamFields
from rolltape.store import Database

AT_NEXT_START = frozenset({"max_transfers_per_destination"})  # all others count at once

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Row:
    """A preference as a page shows it. `locked_by` is the environment variable that fixes it, None if none does."""

    name: str
    label: str
    value: Any
    default: Any
    unit: str
    help: str
    choices: Sequence[str]
    locked_by: str | None
    at_next_start: bool


class Preferences:
    """`given` is what counts where nothing was changed, `locked` names what cannot be, and by which variable.

    `apply` is called with all values once they are known, and again whenever one was changed.
    """

    def __init__(
        self,
        database: Database,
        *,
        given: PreferenceFields,
        locked: Mapping[str, str],
        fixed: Sequence[Fixed] = (),
        apply: Callable[[PreferenceFields], None],
    ) -> None:
        self._database = database
        self._given = given
        self._locked = locked
        self._apply = apply
        self.fixed = fixed
        self.values = given

    async def load(self) -> None:
        """Read what was changed, and apply all. A value that cannot be used any more counts as not changed."""
        async with self._database.read() as db:
            rows = (await db.scalars(select(Preference))).all()
        changed: dict[str, Any] = {}
        for row in rows:
            if row.name in self._locked:
                continue
            try:
                self._with({row.name: row.value})
            except ValidationError:
                log.warning("a preference cannot be used", action="preference_unusable", preference=row.name)
            else:
                changed[row.name] = row.value
        self.values = self._with(changed)
        self._apply(self.values)

    def read(self) -> list[Row]:
        """All preferences with their present values."""
        return [self._row(name) for name in PreferenceFields.model_fields]

    def for_new(self, fields: StreamFields) -> StreamFields:
        """What a new stream begins with: of what was not said of it, the preferences."""
        unsaid = {"start_early", "end_late"} - fields.model_fields_set
        return fields.model_copy(update={name: getattr(self.values, name) for name in unsaid})

    async def change(self, changes: Mapping[str, Any]) -> None:
        """Change the named preferences; None brings back what counts without a change.

        Raises:
            InputError: one is fixed by the environment.
            ValidationError: there is no such preference, or it cannot have this value.
        """
        values = self._checked(changes)
        async with self._database.write() as db:
            plain = values.model_dump(mode="json")
            await self.enter(db, {name: None if changes[name] is None else plain[name] for name in changes})
        self.values = values
        self._apply(values)
        log.info("preferences were changed", action="preferences_changed", preferences=", ".join(changes))

    async def enter(self, db: AsyncSession, changes: Mapping[str, Any]) -> None:
        """Write changes that are checked, as part of a larger change; `load` has to follow."""
        for name, value in changes.items():
            await db.execute(delete(Preference).where(Preference.name == name))
            if value is not None:
                db.add(Preference(name=name, value=value))

    def _checked(self, changes: Mapping[str, Any]) -> PreferenceFields:
        for name in changes:
            if name in self._locked:
                raise InputError(
                    name, f"{self._locked[name]} in the environment fixes this; take it out there to change it here."
                )
        back = {name: getattr(self._given, name, None) for name, value in changes.items() if value is None}
        wanted = self.values.model_dump() | dict(changes) | back
        return PreferenceFields.model_validate(wanted)

    def _with(self, changed: Mapping[str, Any]) -> PreferenceFields:
        return PreferenceFields.model_validate(self._given.model_dump() | dict(changed))

    def _row(self, name: str) -> Row:
        field = PreferenceFields.model_fields[name]
        extra = field.json_schema_extra
        return Row(
            name=name,
            label=field.title or name,
            value=getattr(self.values, name),
            default=getattr(self._given, name),
            unit=str(extra.get("unit", "")) if isinstance(extra, dict) else "",
            help=field.description or "",
            choices=LEVELS if field.annotation is LogLevel else (),
            locked_by=self._locked.get(name),
            at_next_start=name in AT_NEXT_START,
        )
