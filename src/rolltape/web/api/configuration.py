"""The configuration in the API: one YAML document."""

from typing import Annotated, Any

from fastapi import Body, Query, Response
from pydantic import BaseModel

from rolltape.domain.errors import InputError
from rolltape.services.configuration import Action, BadConfiguration, Difference
from rolltape.web.errors import error_answer
from rolltape.web.params import With

YAML = "application/yaml"
FILE = "rolltape-configuration.yaml"

Document = Annotated[bytes, Body(media_type=YAML, description="the document, in UTF-8")]


class FieldChangeAnswer(BaseModel):
    name: str
    before: Any
    after: Any


class ChangeAnswer(BaseModel):
    """What becomes of a setting, destination, stream or schedule. `fields` are those that change."""

    action: Action
    kind: str
    name: str
    fields: list[FieldChangeAnswer]


class DifferenceAnswer(BaseModel):
    """`changes` counts what is added, changed and removed. `fingerprint` stands for just this difference."""

    applied: bool
    changes: int
    fingerprint: str
    items: list[ChangeAnswer]


async def export(services: With) -> Response:
    """Get all that is set up as one YAML document, without its secrets."""
    headers = {"Content-Disposition": f'attachment; filename="{FILE}"'}
    return Response(await services.configuration.export(), media_type=YAML, headers=headers)


async def bring_in(
    services: With,
    document: Document,
    dry_run: Annotated[bool, Query(description="only tell what it would change")] = False,
    prune: Annotated[bool, Query(description="remove what its parts do not have; needs the fingerprint")] = False,
    fingerprint: Annotated[str | None, Query(max_length=64, description="of the difference that was agreed to")] = None,
) -> DifferenceAnswer:
    """Make things as a document says, all of it or nothing. Imported twice, it changes nothing the second time.

    Nothing is removed unless `prune` is given, and then only what a dry run with `prune` has shown.
    """
    try:
        if dry_run:
            return _answer(await services.configuration.compare(document, prune=prune), applied=False)
        if prune and fingerprint is None:
            raise InputError("fingerprint", "To remove things, look at a dry run first and send its fingerprint along.")
        return _answer(await services.configuration.bring_in(document, prune=prune, agreed=fingerprint), applied=True)
    except BadConfiguration as exc:
        fields = {problem.place: problem.message for problem in exc.problems}
        return error_answer(422, exc.code, exc.message, fields)  # type: ignore[return-value]


def _answer(found: Difference, *, applied: bool) -> DifferenceAnswer:
    return DifferenceAnswer(
        applied=applied,
        changes=found.count,
        fingerprint=found.fingerprint,
        items=[ChangeAnswer.model_validate(change, from_attributes=True) for change in found.changes],
    )
