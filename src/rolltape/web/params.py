"""What handlers take from a request: the services, pages of lists, partial changes."""

from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic.fields import FieldInfo

from rolltape.domain.stream import RowId
from rolltape.services import Services
from rolltape.services.paging import LONGEST_PAGE

Item = TypeVar("Item")


def _services(request: Request) -> Services:
    services: Services = request.state.services
    return services


With = Annotated[Services, Depends(_services)]
Id = Annotated[int, Path(ge=1, lt=2**31, examples=[1])]
# A choice in a filter: what is left empty is no choice.
ChosenId = Annotated[RowId | None, BeforeValidator(lambda typed: typed or None), Query()]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="how many at most")]
After = Annotated[str | None, Query(max_length=200, description="`next` of the page before")]


class Listing(BaseModel, Generic[Item]):
    """One page, newest first. `next` is given as `after` to get the page behind it; null on the last."""

    items: list[Item]
    next: str | None


def partial(model: type[BaseModel], name: str, *, nullable: bool = False) -> type[BaseModel]:
    """A model of which every field may be left out. What is given is checked with the rest of the row.

    `nullable`: each may be null as well.
    """
    fields: dict[str, Any] = {}
    for field, info in model.model_fields.items():
        kind = _annotated(info)
        fields[field] = (kind | None if nullable else kind, None)
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)


def _annotated(info: FieldInfo) -> Any:
    """The type of a field with what restricts it, and without its default."""
    return Annotated[info.annotation, *info.metadata, Field()]


def given(changes: BaseModel) -> dict[str, Any]:
    """The fields that a request named."""
    return changes.model_dump(exclude_unset=True)
