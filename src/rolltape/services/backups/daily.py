"""When the daily backup is due, and which old ones go."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rolltape.services.backups.archive import Reason
from rolltape.services.backups.folder import Backup

# Made by the service itself. What a person made or brought stays until a person deletes it.
AUTOMATIC = frozenset({Reason.DAILY, Reason.MIGRATION, Reason.RESTORE})


def last_due(now: datetime, *, hour: int, zone: str) -> datetime:
    """The last moment up to `now` at which a daily backup was due: `hour` o'clock in `zone`."""
    local = now.astimezone(ZoneInfo(zone))
    today = local.replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today <= local else today - timedelta(days=1)


def is_due(backups: Sequence[Backup], now: datetime, *, hour: int, zone: str) -> bool:
    """Whether there is no daily backup since; one that was due while the machine was off is made up for."""
    since = last_due(now, hour=hour, zone=zone)
    made = (backup.created for backup in backups if backup.reason is Reason.DAILY and backup.problem is None)
    return not any(since <= created <= now for created in made)


def too_many(backups: Sequence[Backup], *, kept: int) -> list[Backup]:
    """The backups that go: of each kind that is made automatically, `kept` stay."""
    gone: list[Backup] = []
    for reason in AUTOMATIC:
        same = [backup for backup in backups if backup.reason is reason]
        gone += sorted(same, key=lambda backup: backup.name, reverse=True)[kept:]
    return gone
