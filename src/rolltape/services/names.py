"""Names that must be unique."""

import contextlib
from collections.abc import Iterator

from sqlalchemy.exc import IntegrityError

from rolltape.domain.errors import NameTaken


@contextlib.contextmanager
def unique_name(kind: str, name: str) -> Iterator[None]:
    """Around the statement that writes `name`: says in words that it is taken."""
    try:
        yield
    except IntegrityError as exc:
        raise NameTaken(f"There is a {kind} named {name} already.") from exc
