"""What happens is told: once, soon, and not too often."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from rolltape.domain.address import Egress
from rolltape.domain.destination import DestinationFields
from rolltape.domain.notification import Channel, Message, MessageState, Notice, Occasion
from rolltape.domain.session import Session, SessionState
from rolltape.domain.take import Take
from rolltape.domain.tally import Tally, Watermark
from rolltape.domain.transfer import Transfer, TransferState
from rolltape.services import Notifications, tallies
from rolltape.services.notifications.digest import is_due, next_rank
from tests.services.conftest import START
from tests.services.notifications.conftest import Desk

FAILED: dict[str, Any] = {
    "error_code": "dns_failed",
    "error_message": "radio.example: the name server does not answer.",
}


def again(desk: Desk, **more: Any) -> Notifications:
    """The notifications of a service that was started anew on the same database."""
    bench = desk.bench
    values: dict[str, Any] = {
        "keys": bench.folder / "keys",
        "egress": Egress(unrestricted=True),
        "clock": bench.clock,
    } | more
    return Notifications(bench.database, bench.services.health, **values)


async def test_a_failure_is_told_with_its_reason_and_what_to_do(desk: Desk) -> None:
    await desk.channel()
    (number,) = await desk.ends(**FAILED)

    await desk.turn()

    (told,) = desk.told
    assert (told["event"], told["title"], told["count"]) == ("failed", "Show 0 failed", 1)
    assert "planned for Monday 1 June at 11:00 (UTC), failed. radio.example: the name server" in told["text"]
    assert "What to do:\nNames of machines cannot be looked up: check whether" in told["text"]
    assert told["link"] == f"/sessions/{number}"


async def test_links_lead_to_the_pages_where_their_address_is_known(desk: Desk) -> None:
    await desk.channel()
    (number,) = await desk.ends(**FAILED)

    notifications = again(desk, public_url="https://radio.example/tape/")
    await notifications.look()
    await notifications.deliver()

    (told,) = desk.told
    assert told["link"] == f"https://radio.example/tape/sessions/{number}"
    assert told["text"].endswith(told["link"])


async def test_nothing_is_told_twice_nor_of_what_went_well(desk: Desk) -> None:
    await desk.channel()
    await desk.ends(**FAILED)
    await desk.ends(3, SessionState.DONE, verdict="complete")
    await desk.ends(1, SessionState.CANCELLED)

    for _ in range(4):
        await desk.turn()
        desk.bench.clock.move(minutes=6)

    assert [told["count"] for told in desk.told] == [1]


@pytest.mark.parametrize(
    ("state", "values", "event", "title"),
    [
        (SessionState.MISSED, {"error_code": "service_down"}, "missed", "Show 0 was missed"),
        (SessionState.DONE, {"verdict": "gapped", "coverage": 0.9}, "gapped", "Show 0 has gaps"),
        (SessionState.DONE, {"verdict": "silent"}, "gapped", "Show 0 is silent"),
        (SessionState.DELIVERING, {"verdict": "short"}, "gapped", "Show 0 ends too early"),
    ],
)
async def test_each_way_to_go_wrong_has_its_event(
    desk: Desk, state: SessionState, values: dict[str, Any], event: str, title: str
) -> None:
    await desk.channel()
    await desk.ends(1, state, **values)

    await desk.turn()

    assert [(told["event"], told["title"]) for told in desk.told] == [(event, title)]


async def test_gaps_are_told_when_it_was_recorded_and_not_again_when_it_is_delivered(desk: Desk) -> None:
    await desk.channel()
    (number,) = await desk.ends(1, SessionState.DELIVERING, verdict="gapped")
    await desk.turn()
    desk.bench.clock.move(hours=30)
    await desk.turn()

    async with desk.bench.database.write() as db:
        values = {"state": SessionState.DONE, "ended_at": desk.bench.clock()}
        await db.execute(update(Session).where(Session.id == number).values(**values))
    await desk.turn()

    assert [told["title"] for told in desk.told] == ["Show 0 has gaps"]


@pytest.mark.parametrize(("hours", "expected"), [(0.9, []), (26, ["Show 0 was delivered late"])])
async def test_a_late_delivery_is_told(desk: Desk, hours: float, expected: list[str]) -> None:
    await desk.channel()
    ready = desk.bench.clock() - timedelta(hours=hours)
    (number,) = await desk.ends(1, SessionState.DONE, verdict="complete")
    async with desk.bench.database.write() as db:
        db.add(
            Transfer(
                session_id=number, destination_name="NAS", state=TransferState.DELIVERED, size=1,
                created_at=ready, finished_at=desk.bench.clock(),
            )
        )  # fmt: skip

    await desk.turn()

    assert [told["title"] for told in desk.told] == expected
    assert all("reached NAS 26.0 hours after" in told["text"] for told in desk.told)


async def test_a_thousand_failures_at_once_are_a_handful_of_messages(desk: Desk) -> None:
    await desk.channel()
    await desk.ends(1000, **FAILED)

    for _ in range(12):  # an hour
        await desk.turn()
        desk.bench.clock.move(minutes=5)

    assert [told["title"] for told in desk.told] == ["1,000 recordings failed"]
    assert len(desk.told[0]["text"]) < 2000
    assert "... and 995 more." in desk.told[0]["text"]
    assert len(desk.told[0]["items"]) == 20


async def test_what_goes_on_failing_is_gathered_for_ten_minutes_and_then_for_an_hour(desk: Desk) -> None:
    await desk.channel()

    for _ in range(36):  # three hours, a failure every five minutes
        await desk.ends(**FAILED)
        await desk.turn()
        desk.bench.clock.move(minutes=5)

    assert [told["count"] for told in desk.told] == [1, 2, 12, 12]


async def test_after_quiet_a_new_fault_is_told_at_once(desk: Desk) -> None:
    await desk.channel()
    await desk.ends(**FAILED)
    await desk.turn()
    desk.bench.clock.move(minutes=11)
    await desk.ends(**FAILED)

    await desk.turn()

    assert [told["count"] for told in desk.told] == [1, 1]


async def test_each_channel_hears_what_it_wants(desk: Desk) -> None:
    await desk.channel("Missed", address=desk.listener.url("/missed"), events=["missed"])
    await desk.channel("Nothing", address=desk.listener.url("/nothing"), events=[])
    await desk.channel("Off", address=desk.listener.url("/off"), enabled=False)
    await desk.ends(**FAILED)
    await desk.ends(1, SessionState.MISSED)

    await desk.turn()

    assert [request.path for request in desk.listener.received] == ["/missed"]


async def test_a_restart_between_noticing_and_sending_loses_nothing(desk: Desk) -> None:
    await desk.channel()
    await desk.ends(**FAILED)
    await desk.notifications.look()

    restarted = again(desk)
    await restarted.look()
    await restarted.deliver()
    await restarted.look()
    await restarted.deliver()

    assert [told["count"] for told in desk.told] == [1]


async def test_a_message_that_was_taken_but_not_marked_comes_again_under_its_id(desk: Desk) -> None:
    await desk.channel()
    await desk.ends(**FAILED)
    await desk.turn()
    async with desk.bench.database.write() as db:  # as if it had ended before
        await db.execute(update(Message).values(state=MessageState.WAITING, next_attempt_at=desk.bench.clock()))

    await again(desk).deliver()

    first, second = (request.headers["rolltape-id"] for request in desk.listener.received)
    assert first == second == desk.told[0]["id"]


async def test_what_ended_while_the_service_was_down_is_one_message(desk: Desk) -> None:
    await desk.channel()
    desk.bench.clock.move(days=20)
    await desk.ends(3000, SessionState.MISSED, error_code="service_down")

    restarted = again(desk)
    for _ in range(3):
        await restarted.look()
        await restarted.deliver()

    assert [told["title"] for told in desk.told] == ["3,000 recordings were missed"]


async def test_old_sessions_of_a_database_that_was_never_looked_through_are_not_told(desk: Desk) -> None:
    await desk.channel()
    await desk.ends(500, **FAILED)
    async with desk.bench.database.write() as db:  # as a restored one
        await db.delete(await db.get(Watermark, "sessions"))

    await again(desk).look()
    await desk.turn()

    assert desk.told == []


async def test_a_clock_that_is_set_back_hides_nothing(desk: Desk) -> None:
    await desk.channel()
    await desk.ends(**FAILED)
    await desk.turn()
    desk.bench.clock.move(days=-3)
    await desk.ends(1, SessionState.MISSED)
    await desk.turn()

    assert [told["event"] for told in desk.told] == ["failed", "missed"]


async def test_what_was_told_long_ago_is_forgotten(desk: Desk) -> None:
    await desk.channel()
    await desk.ends(**FAILED)
    await desk.turn()
    desk.bench.clock.move(days=31)

    await desk.notifications._outbox.forget_old()

    async with desk.bench.database.read() as db:
        assert await db.scalar(select(func.count()).select_from(Message)) == 0
        assert await db.scalar(select(func.count()).select_from(Notice)) == 0


async def test_sessions_are_counted_once_and_stay_counted_when_they_are_deleted(desk: Desk) -> None:
    done = {"verdict": "complete", "recorded": 3540.0, "coverage": 0.9833333333333333, "take_count": 3}
    (number,) = await desk.ends(1, SessionState.DONE, **done)
    await desk.ends(**FAILED)
    await desk.turn()
    await desk.bench.services.sessions.delete(number)
    desk.bench.clock.move(minutes=20)
    await desk.ends(1, SessionState.CANCELLED)
    await again(desk).look()

    async with desk.bench.database.read() as db:
        counts = {tally.name: tally.value for tally in await db.scalars(select(Tally))}
    assert counts["sessions:done:complete"] == counts["sessions:failed:"] == counts["sessions:cancelled:"] == 1
    assert counts["recorded_seconds"] == 3540
    assert counts["lost_seconds"] == pytest.approx(60 + 3600)
    assert counts["reconnects"] == 2


async def test_audio_is_counted_when_its_session_is_over_for_the_first_time(desk: Desk) -> None:
    (number,) = await desk.ends(1, SessionState.FAILED, recorded=1800.0, take_count=2)
    async with desk.bench.database.write() as db:
        for take in (1, 2):
            facts = {"codec": "mp3", "bit_rate": 128_000, "begins": START, "duration": 900.0, "ended_by": "closed"}
            db.add(Take(session_id=number, number=take, **facts))
    await desk.turn()
    await desk.bench.services.sessions.retry(number)
    desk.bench.clock.move(hours=1)
    async with desk.bench.database.write() as db:
        values = {"state": SessionState.DONE, "ended_at": desk.bench.clock(), "verdict": "short", "coverage": 0.5}
        await db.execute(update(Session).where(Session.id == number).values(**values))

    await desk.turn()

    async with desk.bench.database.read() as db:
        counts = await tallies.read(db)
        assert counts == counts | dict.fromkeys(("sessions:failed:", "sessions:done:short", "reconnects"), 1)
    assert counts["recorded_seconds"] == counts["lost_seconds"] == 1800
    assert counts["received_bytes"] == 2 * 900 * 16_000


async def test_all_sessions_at_once_are_counted_like_each_by_itself(desk: Desk) -> None:
    ids = await desk.ends(2, SessionState.DONE, verdict="gapped", recorded=1800.0, coverage=0.5, take_count=4)
    ids += await desk.ends(3, SessionState.DONE, verdict="complete", recorded=3600.0, coverage=1.0, take_count=1)
    ids += await desk.ends(2, **FAILED) + await desk.ends(1, SessionState.MISSED)
    ids += await desk.ends(1, SessionState.CANCELLED, recorded=60.0, coverage=0.1, take_count=2)
    ids += await desk.ends(1, SessionState.FAILED, recorded=900.0, take_count=2)
    await desk.ends(1, SessionState.DELIVERING, recorded=900.0, coverage=0.2, take_count=2)

    async with desk.bench.database.read() as db:
        together, each = await tallies.count_all(db), await tallies.count(db, ids)

    assert {name: value for name, value in together.items() if value} == {
        name: value for name, value in each.items() if value
    }
    assert together["lost_seconds"] == 2 * 1800 + 3 * 3600 + 2700
    assert together["reconnects"] == 2 * 3 + 1


def test_a_message_is_due_when_its_window_is_over() -> None:
    assert is_due(None, START)
    assert not is_due((0, START), START + timedelta(minutes=9))
    assert is_due((0, START), START + timedelta(minutes=10))
    assert not is_due((1, START), START + timedelta(minutes=59))
    assert is_due((5, START), START + timedelta(hours=1))
    assert is_due((5, START), START - timedelta(days=1))  # the clock was set back
    assert next_rank((3, START), START + timedelta(minutes=5)) == 4
    assert next_rank((3, START), START + timedelta(minutes=61)) == 0


async def test_findings_are_told_when_they_come_and_when_they_are_over(desk: Desk) -> None:
    await desk.channel()
    folder = desk.bench.folder / "recordings"
    (folder / "x").touch()
    moved = folder.rename(desk.bench.folder / "away")

    for present in (True, True, False, False, False):
        if not present and not folder.exists():
            moved.rename(folder)
        await desk.notifications.look_at_findings()
        await desk.turn()
        desk.bench.clock.move(minutes=5)

    assert [told["event"] for told in desk.told] == ["machine", "well_again"]
    assert "recordings cannot be written" in desk.told[0]["text"]
    assert desk.told[1]["text"].startswith("This is over: ")


async def test_a_destination_that_refuses_is_told_at_once_and_one_that_is_away_after_an_hour(desk: Desk) -> None:
    await desk.channel()
    (number,) = await desk.ends(1, SessionState.DELIVERING, verdict="complete")
    common = {"session_id": number, "size": 1, "fruitless": 9, "created_at": START, "next_attempt_at": START}
    ids = []
    for name in ("Strict", "Asleep"):
        fields = DestinationFields(name=name, host="nas.lan", user="radio", key_file="id", directory="x")
        ids.append((await desk.bench.services.destinations.create(fields)).id)
    async with desk.bench.database.write() as db:
        refused, waiting = TransferState.REFUSED, TransferState.WAITING
        db.add(Transfer(destination_id=ids[0], destination_name="Strict", state=refused, **common))
        db.add(Transfer(destination_id=ids[1], destination_name="Asleep", state=waiting, **common))

    titles: list[list[str]] = []
    for _ in range(2):
        await desk.notifications.look_at_findings()
        await desk.turn()
        titles.append([told["title"] for told in desk.told])
        desk.bench.clock.move(minutes=61)

    assert [title.partition(" ")[0] for title in titles[0]] == ["Strict"]
    assert [title.partition(" ")[0] for title in titles[1]] == ["Strict", "Asleep"]
    assert {told["event"] for told in desk.told} == {Occasion.DESTINATION}


async def test_a_channel_that_is_switched_off_forgets_what_waited(desk: Desk) -> None:
    channel = await desk.channel()
    desk.listener.behaviour = 500
    await desk.ends(**FAILED)
    await desk.turn()

    await desk.notifications.update(channel.id, {"enabled": False})
    await desk.notifications.update(channel.id, {"enabled": True})
    desk.listener.behaviour = 204
    desk.bench.clock.move(hours=2)
    await desk.turn()

    assert len(desk.listener.received) == 1
    async with desk.bench.database.read() as db:
        assert await db.scalar(select(func.count()).select_from(Channel)) == 1
