"""Forms: what was typed, checked by the models that the API uses, and shown again beside what is wrong with it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import ValidationError
from starlette.datastructures import FormData

from rolltape.domain.errors import RolltapeError, TooManyAttempts
from rolltape.web.errors import fields_of


@dataclass
class Form:
    """A form as it is shown: the text of each field, and the sentence to each that cannot be taken.

    `message` is what is wrong as a whole, where no field is to blame.
    """

    values: Mapping[str, Any]
    errors: dict[str, str] = field(default_factory=dict)
    message: str = ""

    def text(self, name: str) -> str:
        value = self.values.get(name)
        return "" if value is None else str(value)

    def chosen(self, name: str) -> list[str]:
        """The values of a field that can have several, as texts."""
        value = self.values.get(name) or []
        return [str(part) for part in value] if isinstance(value, list) else [str(value)]

    def is_on(self, name: str) -> bool:
        return self.values.get(name) not in (None, "", False, "off")

    @contextmanager
    def checked(self) -> Iterator[None]:
        """What is refused inside is noted at its field; look at `is_good` afterwards."""
        try:
            yield
        except ValidationError as exc:
            self.errors |= fields_of(exc.errors())
        except TooManyAttempts:  # a whole answer of its own
            raise
        except RolltapeError as exc:
            name = getattr(exc, "field", "")
            if name in self.values or name.partition(".")[0] in self.values:
                self.errors[name] = exc.message
            else:
                self.message = exc.message
        # What belongs to one line of a field belongs to the field: fallback_urls.0
        for name in [name for name in self.errors if "." in name]:
            self.errors.setdefault(name.partition(".")[0], self.errors[name])

    @property
    def is_good(self) -> bool:
        return not self.errors and not self.message


async def typed(request: Request) -> Form:
    """What a browser sent. A field that can have several values, named `NAME[]`, is a list under NAME."""
    async with request.form(max_files=1, max_fields=500) as data:  # closes files, which no such form asks for
        return Form(_texts(data))


def _texts(data: FormData) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in data:
        if name.endswith("[]"):
            values[name.removesuffix("[]")] = [value for value in data.getlist(name) if isinstance(value, str)]
        elif isinstance(value := data[name], str):
            values[name] = value
    return values


Typed = Annotated[Form, Depends(typed)]


def lines(text: str) -> list[str]:
    """The lines of a text field that have something on them."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def or_none(text: str) -> str | None:
    """What was typed, None for nothing."""
    return text.strip() or None


def hours_and_minutes(form: Form, name: str) -> float | str:
    """The seconds of a length that is typed as NAME_hours and NAME_minutes; as typed where they are no numbers."""
    texts = [form.text(f"{name}_{unit}").strip() or "0" for unit in ("hours", "minutes")]
    try:
        hours, minutes = (float(text) for text in texts)
    except ValueError:
        return " ".join(texts)
    return hours * 3600 + minutes * 60


def split_length(name: str, seconds: float | None) -> dict[str, str]:
    """The values of the two fields of a length."""
    minutes = (seconds or 0) / 60
    return {f"{name}_hours": f"{minutes // 60:g}", f"{name}_minutes": f"{round(minutes % 60, 4):g}"}
