"""Rules in plain English."""

from datetime import datetime

import pytest

from rolltape.domain import cron, words
from rolltape.domain.calendar import cron_rule, date_rule, sentence
from rolltape.domain.units import HOUR, Seconds


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("0 9 * * *", "Every day at 09:00"),
        ("0 9 * * 0-7", "Every day at 09:00"),
        ("0 9 * * 1-5", "Every Monday to Friday at 09:00"),
        ("0 9 * * 1", "Every Monday at 09:00"),
        ("0 9 * * 1,3,5", "Every Monday, Wednesday and Friday at 09:00"),
        ("0 9 * * 0,6", "Every Saturday and Sunday at 09:00"),
        ("0 9 * * FRI-SUN", "Every Friday to Sunday at 09:00"),
        ("0 9 * * */2", "Every Tuesday, Thursday, Saturday and Sunday at 09:00"),
        ("0,30 9,17 * * *", "Every day at 09:00, 09:30, 17:00 and 17:30"),
        ("0 9-17/4 * * *", "Every day at 09:00, 13:00 and 17:00"),
        ("0 9 * 6-8 1", "Every Monday in June to August at 09:00"),
        ("0 9 * * 1#2", "On the second Monday of every month at 09:00"),
        ("0 9 * 3 7#1,0#3", "On the first Sunday and the third Sunday of March at 09:00"),
        ("0 9 * * 5L", "On the last Friday of every month at 09:00"),
        ("0 9 1,2,3,11,21,22,23 * *", "On the 1st, 2nd, 3rd, 11th, 21st, 22nd and 23rd of every month at 09:00"),
        ("0 9 1-7 * *", "On the 1st to 7th of every month at 09:00"),
        ("0 9 L * *", "On the last day of every month at 09:00"),
        ("0 9 1,L * *", "On the 1st and last day of every month at 09:00"),
        ("0 9 1,15,L * *", "On the 1st, 15th and last day of every month at 09:00"),
        ("0 9 LW * *", "On the last weekday of every month at 09:00"),
        ("0 0 1 1 *", "On the 1st of January at 00:00"),
        ("0 9 1 * 1", "On the 1st of every month and every Monday at 09:00"),
        ("0 9 29 2 */7", "On the 29th of February if it is Sunday at 09:00"),
        ("* * * * *", "Every minute"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("*/15 * * * 1-5", "Every 15 minutes, every Monday to Friday"),
        ("0 * * * *", "Every hour on the hour"),
        ("1 * * * *", "Every hour at 1 minute past"),
        ("30 */6 * * *", "Every 6 hours at 30 minutes past"),
    ],
)
def test_common_rules_read_as_a_person_would_say_them(expression: str, text: str) -> None:
    assert words.of_cron(cron.canonical(expression)) == text


@pytest.mark.parametrize(
    "expression",
    ["*/7 * * * *", "*/15 9-17 * * 1-5", "0 9 */2 * 1", "0 9 1,L * *", "0 9 * * 1,5L", "* 9 * */2 *", "0 */5 * * *"],
)
def test_unusual_rules_still_have_words(expression: str) -> None:
    text = words.of_cron(cron.canonical(expression))

    assert text[0].isupper()
    assert "None" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (7200, "2 hours"),
        (3600, "1 hour"),
        (9000, "2 hours 30 minutes"),
        (60, "1 minute"),
        (90.4, "1 minute 30 seconds"),
        (3601, "1 hour 1 second"),
        (7 * 86400, "168 hours"),
        (0, "0 seconds"),
    ],
)
def test_spans_are_hours_minutes_and_seconds(seconds: float, text: str) -> None:
    assert words.of_span(Seconds(seconds)) == text


def test_a_sentence_ends_with_length_and_zone() -> None:
    rule = cron_rule("0 9 * * 1-5", "Europe/Berlin")

    assert sentence(rule, Seconds(2 * HOUR)) == "Every Monday to Friday at 09:00 for 2 hours (Europe/Berlin)"


def test_a_date_is_said_in_its_zone() -> None:
    rule = date_rule(datetime.fromisoformat("2026-07-05T22:30:00Z"), "Asia/Kolkata")

    assert sentence(rule, HOUR) == "Once, on Monday 6 July 2026 at 04:00 for 1 hour (Asia/Kolkata)"
