"""How what happened is said: what became of sessions, findings that come and go, and several of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from rolltape.domain.advice import advice, verdict_words
from rolltape.domain.notification import LONGEST_TITLE, Notice, Occasion
from rolltape.domain.recording import Verdict
from rolltape.domain.session import SessionState
from rolltape.services.findings import Finding, when

MOST_SAID = 5  # happenings that a text tells one by one
MOST_LISTED = 20  # that a webhook is sent one by one
MOST_ADVICE = 3
LONGEST_TEXT = 1000  # characters of one happening

# What a person chooses from, and the title of several at once.
LABELS = {
    Occasion.FAILED: ("A recording failed", "{} recordings failed"),
    Occasion.MISSED: ("A recording was missed", "{} recordings were missed"),
    Occasion.GAPPED: ("A recording is not complete", "{} recordings are not complete"),
    Occasion.DELIVERED_LATE: ("A recording was delivered late", "{} recordings were delivered late"),
    Occasion.DISK: ("The disk gets full", "{} warnings about the disk"),
    Occasion.DESTINATION: ("A destination refuses recordings or is away", "{} destinations are in trouble"),
    Occasion.DATABASE: ("The database has trouble", "{} troubles with the database"),
    Occasion.BACKUP: ("There is no recent backup", "{} troubles with backups"),
    Occasion.MACHINE: ("Something else needs attention: clock, folders, FFmpeg", "{} things need attention"),
    Occasion.WELL_AGAIN: ("Trouble is over", "{} troubles are over"),
}
_VERDICTS = {
    Verdict.SILENT: "is silent",
    Verdict.SHORT: "ends too early",
    Verdict.LATE: "begins too late",
    Verdict.GAPPED: "has gaps",
}


@dataclass(frozen=True)
class Happening:
    """Something to tell, whoever hears it. `count` is how many it stands for."""

    occasion: Occasion
    at: datetime
    title: str
    text: str
    advice: str
    link: str
    count: int = 1

    def notice(self, channel_id: int) -> Notice:
        return Notice(
            channel_id=channel_id,
            occasion=self.occasion,
            at=self.at,
            title=self.title[:LONGEST_TITLE],
            text=self.text[:LONGEST_TEXT],
            advice=self.advice[:LONGEST_TEXT],
            link=self.link,
            count=self.count,
        )


def ended(row: Row[*tuple[Any, ...]], now: datetime) -> Happening:
    """A session that failed or was missed."""
    is_missed = row.state is SessionState.MISSED
    verb = "was missed" if is_missed else "failed"
    text = f"{row.name}, planned for {when(row.planned_start, row.timezone)}, {verb}. {row.error_message or ''}"
    what_to_do = advice(row.error_code) if row.error_code else ""
    occasion = Occasion.MISSED if is_missed else Occasion.FAILED
    link = f"/sessions/{row.id}"
    return Happening(occasion, row.ended_at or now, f"{row.name} {verb}", text.rstrip(), what_to_do, link)


def flawed(row: Row[*tuple[Any, ...]], now: datetime) -> Happening:
    """A recording with another verdict than complete."""
    title = f"{row.name} {_VERDICTS[row.verdict]}"
    share = f" {row.coverage * 100:.1f} % of it was recorded." if row.coverage is not None else ""
    text = f"The recording {row.name} of {when(row.planned_start, row.timezone)} {_VERDICTS[row.verdict]}.{share}"
    words = verdict_words(row.verdict)
    return Happening(Occasion.GAPPED, row.ended_at or now, title, text, words, f"/sessions/{row.id}")


def late(row: Row[*tuple[Any, ...]], destination: str, hours: float, now: datetime) -> Happening:
    """A recording that reached its destination long after it was ready."""
    text = (
        f"The recording {row.name} of {when(row.planned_start, row.timezone)} reached {destination} {hours:.1f} hours "
        "after it was ready."
    )
    what_to_do = "It is there now: if this happens often, see whether the destination is always switched on."
    title = f"{row.name} was delivered late"
    return Happening(Occasion.DELIVERED_LATE, row.ended_at or now, title, text, what_to_do, f"/sessions/{row.id}")


def more(occasion: Occasion, count: int, now: datetime) -> Happening:
    """So many of them that they are only counted."""
    title = LABELS[occasion][1].format(count)
    return Happening(occasion, now, title, f"{title}, too.", "", "/sessions", count)


def found(occasion: Occasion, finding: Finding, now: datetime) -> Happening:
    """A finding of the health page."""
    return Happening(occasion, now, finding.message, finding.message, finding.advice, finding.link or "/system")


def well_again(text: str, link: str, now: datetime) -> Happening:
    """A finding that has gone away."""
    return Happening(Occasion.WELL_AGAIN, now, "Trouble is over", f"This is over: {text}", "", link)


def title_of(notices: Sequence[Notice]) -> str:
    """The title of a message that tells all of these, which are of one occasion."""
    count = sum(notice.count for notice in notices)
    title = notices[0].title if count == 1 else LABELS[notices[0].occasion][1].format(f"{count:,}")
    return title[:LONGEST_TITLE]


def content_of(notices: Sequence[Notice], *, uid: str, public_url: str) -> dict[str, Any]:
    """What a webhook is sent, and what the text of the other channels is made of."""
    count = sum(notice.count for notice in notices)
    link = notices[0].link if len(notices) == 1 else _common_link(notices)
    return {
        "id": uid,
        "event": str(notices[0].occasion),
        "title": title_of(notices),
        "count": count,
        "text": _text(notices, count, f"{public_url}{link}" if public_url else ""),
        "link": f"{public_url}{link}",
        "items": [_item(notice, public_url) for notice in notices[:MOST_LISTED]],
    }


def trial(uid: str, public_url: str, now: datetime) -> dict[str, Any]:
    """The content of a test message."""
    title, text = "A test from Rolltape", "This is a test: if you can read it, notifications arrive."
    item = {"at": now.isoformat(), "title": title, "text": text, "advice": "", "link": f"{public_url}/"}
    return {"id": uid, "event": "test", "title": title, "count": 1, "text": text, "link": item["link"], "items": [item]}


def _text(notices: Sequence[Notice], count: int, link: str) -> str:
    said = notices[:MOST_SAID]
    lines = [notice.text if len(notices) == 1 else f"- {notice.text}" for notice in said]
    rest = count - sum(notice.count for notice in said)
    if rest > 0:
        lines.append(f"... and {rest:,} more.")
    advised = list(dict.fromkeys(notice.advice for notice in notices if notice.advice))[:MOST_ADVICE]
    if advised:
        lines += ["", "What to do:", *advised]
    if link:
        lines += ["", link]
    return "\n".join(lines)


def _common_link(notices: Sequence[Notice]) -> str:
    links = {notice.link for notice in notices}
    if len(links) == 1:
        return links.pop()
    lists = {Occasion.FAILED: "/sessions?state=failed", Occasion.MISSED: "/sessions?state=missed"}
    is_about_sessions = all(link.startswith("/sessions") for link in links)
    return lists.get(notices[0].occasion, "/sessions" if is_about_sessions else "/system")


def _item(notice: Notice, public_url: str) -> dict[str, Any]:
    return {
        "at": notice.at.isoformat(),
        "title": notice.title,
        "text": notice.text,
        "advice": notice.advice,
        "link": f"{public_url}{notice.link}",
    }
