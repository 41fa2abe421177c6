"""Preferences in the API."""

from typing import Any

from pydantic import BaseModel

from rolltape.domain.preference import PreferenceFields
from rolltape.services.preferences import Preferences
from rolltape.web.params import With, given, partial

PreferenceChanges: Any = partial(PreferenceFields, "PreferenceChanges", nullable=True)


class PreferenceAnswer(BaseModel):
    """One preference. `locked_by` is the environment variable that fixes it, null if none does."""

    name: str
    label: str
    value: Any
    default: Any
    unit: str
    help: str
    choices: list[str]
    locked_by: str | None
    at_next_start: bool


class PreferencesAnswer(BaseModel):
    items: list[PreferenceAnswer]


async def listing(services: With) -> PreferencesAnswer:
    """List the preferences, with what each means and what fixes it."""
    return _answer(services.preferences)


async def change(services: With, changes: PreferenceChanges) -> PreferencesAnswer:
    """Change the named preferences; null brings a default back."""
    await services.preferences.change(given(changes))
    return _answer(services.preferences)


def _answer(preferences: Preferences) -> PreferencesAnswer:
    return PreferencesAnswer(
        items=[PreferenceAnswer.model_validate(row, from_attributes=True) for row in preferences.read()]
    )
