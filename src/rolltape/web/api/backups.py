"""Backups in the API."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from rolltape.domain.passphrase import LONGEST_PASSPHRASE
from rolltape.services.backups import Backup, Change, Named, Outlook, Reason
from rolltape.web.params import After, Limit, Listing, With
from rolltape.web.upload import UploadForm

Name = Annotated[str, Path(max_length=100, examples=["rolltape-20261122-040000-daily.zip"])]
Passphrase = Annotated[str, Field(max_length=LONGEST_PASSPHRASE)]


class BackupAnswer(BaseModel):
    """`version` is that of the Rolltape that made it; `problem` says why it cannot be used, null if it can."""

    name: str
    reason: Reason
    created: datetime
    size: int
    version: str
    has_secrets: bool
    problem: str | None


class Wish(BaseModel):
    """`passphrase`: with it the backup holds passwords, keys and accounts, sealed; without, it holds none."""

    model_config = ConfigDict(extra="forbid")

    passphrase: Passphrase | None = None


class RestoreWish(Wish):
    """`with_accounts`: accounts and tokens are added. `with_host_keys`: the servers that it knows are known again."""

    with_accounts: bool = False
    with_host_keys: bool = False


class NamedAnswer(BaseModel):
    """How many there are; the first of them by name. Sessions are only counted."""

    count: int
    names: list[str]


class ChangeAnswer(BaseModel):
    kind: str
    added: NamedAnswer
    changed: NamedAnswer
    removed: NamedAnswer


class RestoreAnswer(BaseModel):
    """`notes` says what is left to do; `safety_backup` is how things were before, null for a dry run."""

    dry_run: bool
    backup: BackupAnswer
    changes: list[ChangeAnswer]
    notes: list[str]
    safety_backup: BackupAnswer | None


async def listing(services: With, limit: Limit = 50, after: After = None) -> Listing[BackupAnswer]:
    """List backups."""
    backups = await services.backups.all()
    names = [backup.name for backup in backups]
    first = names.index(after) + 1 if after in names else 0
    some = backups[first : first + limit]
    more = some[-1].name if first + limit < len(backups) else None
    return Listing(items=[_answer(backup) for backup in some], next=more)


async def create(services: With, wish: Wish | None = None) -> BackupAnswer:
    """Make a backup now."""
    return _answer(await services.backups.create(passphrase=(wish.passphrase if wish else None) or None))


async def upload(services: With, request: Request) -> BackupAnswer:
    """Bring a backup from elsewhere: the file itself as the body, or a multipart field `file`."""
    is_form = request.headers.get("content-type", "").startswith("multipart/")
    chunks = UploadForm(request).chunks() if is_form else request.stream()
    return _answer(await services.backups.receive(chunks))


async def download(services: With, backup: Name) -> FileResponse:
    """Get the file of a backup."""
    file = services.backups.path(backup)
    return FileResponse(file, media_type="application/zip", filename=file.name)


async def verify(services: With, backup: Name, wish: Wish | None = None) -> BackupAnswer:
    """Read a backup from its begin to its end, as if to restore it."""
    return _answer(await services.backups.verify(backup, (wish.passphrase if wish else None) or None))


async def restore(
    services: With,
    backup: Name,
    wish: RestoreWish | None = None,
    dry_run: Annotated[bool, Query(description="only tell what it would change")] = False,
) -> RestoreAnswer:
    """Put a backup in the place of what is there. Accounts and tokens stay; everybody has to sign in again."""
    wish = wish or RestoreWish()
    ask = services.backups.plan if dry_run else services.backups.restore
    found = await ask(
        backup, wish.passphrase or None, with_accounts=wish.with_accounts, with_host_keys=wish.with_host_keys
    )
    return _restored(found, dry_run=dry_run)


async def delete(services: With, backup: Name) -> Response:
    """Delete a backup."""
    await services.backups.delete(backup)
    return Response(status_code=204)


def _restored(found: Outlook, *, dry_run: bool) -> RestoreAnswer:
    return RestoreAnswer(
        dry_run=dry_run,
        backup=_answer(found.backup),
        changes=[_change(change) for change in found.changes],
        notes=list(found.notes),
        safety_backup=_answer(found.safety) if found.safety else None,
    )


def _change(change: Change) -> ChangeAnswer:
    def named(some: Named) -> NamedAnswer:
        return NamedAnswer(count=some.count, names=some.names)

    return ChangeAnswer(
        kind=change.kind, added=named(change.added), changed=named(change.changed), removed=named(change.removed)
    )


def _answer(backup: Backup) -> BackupAnswer:
    return BackupAnswer(
        name=backup.name,
        reason=backup.reason,
        created=backup.created,
        size=backup.size,
        version=backup.version,
        has_secrets=backup.has_secrets,
        problem=backup.problem,
    )
