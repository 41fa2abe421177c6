"""When schedules occur: worked out once for a rule and a span of time, and kept."""

from datetime import datetime
from functools import lru_cache

from rolltape.domain import calendar
from rolltape.domain.calendar import Occurrence, Rule
from rolltape.domain.errors import InputError
from rolltape.domain.schedule import Schedule, ScheduleFields

KEPT = 4096  # rules, and spans of them: some weeks of a thousand schedules


def rule_of(fields: ScheduleFields | Schedule) -> Rule:
    """When a schedule occurs.

    Raises:
        InputError: its cron expression, date or zone cannot be used.
    """
    if (fields.cron is None) == (fields.at is None):
        raise InputError("cron", "A schedule has either a cron expression or a date.")
    if fields.cron is not None:
        return _cron_rule(fields.cron, fields.timezone)
    assert fields.at is not None
    return calendar.date_rule(fields.at, fields.timezone)


@lru_cache(KEPT)
def between(rule: Rule, after: datetime, until: datetime) -> tuple[Occurrence, ...]:
    """The occurrences of `rule` after `after` and up to `until`. What asks again had better ask for the same span."""
    return tuple(calendar.occurrences(rule, after, until=until))


@lru_cache(KEPT)
def _cron_rule(expression: str, timezone: str) -> Rule:
    return calendar.cron_rule(expression, timezone)
