"""News: which tables have changed, told by whoever commits."""

import asyncio

import pytest
from sqlalchemy import delete, update

from rolltape.domain.kept_preference import Preference
from rolltape.domain.session import Session
from rolltape.services import News
from rolltape.store import Database


async def heard(news: News, count: int) -> list[frozenset[str]]:
    found = []
    async for topics in news.listen(patience=5):
        found.append(topics)
        if len(found) == count:
            break
    return found


async def test_what_is_told_before_a_listener_comes_back_is_heard_at_once():
    news = News()
    listening = asyncio.create_task(heard(news, 1))
    await asyncio.sleep(0)

    news.tell({"sessions"})
    news.tell({"transfers", "sessions"})

    assert await listening == [frozenset({"sessions", "transfers"})]


async def test_every_change_has_a_number_of_its_own():
    news = News()
    before = news.count

    news.tell(set())
    news.tell({"sessions"})

    assert news.count == before + 1


async def test_without_news_a_listener_hears_that_there_are_none():
    found = [topics async for topics in first(News(), patience=0.01)]

    assert found == [frozenset()]


async def first(news: News, *, patience: float):
    async for topics in news.listen(patience=patience):
        yield topics
        return


async def test_when_the_service_ends_all_listeners_go():
    news = News()
    listening = [asyncio.create_task(heard(news, 10)) for _ in range(3)]
    await asyncio.sleep(0)

    news.close()

    assert await asyncio.wait_for(asyncio.gather(*listening), 5) == [[frozenset()]] * 3
    assert [topics async for topics in news.listen(patience=5)] == []


async def test_each_transaction_that_writes_is_told_with_its_tables(sqlite_url: str):
    told: list[set[str]] = []
    database = Database(sqlite_url, on_change=told.append)

    async with database.write() as db:
        db.add(Preference(name="a", value=1))
        await db.execute(update(Session).values(priority=1))
    async with database.write() as db:
        await db.execute(delete(Preference))
    async with database.read() as db:
        await db.get(Preference, "a")

    await database.close()
    assert told == [{"preferences", "sessions"}, {"preferences"}]


async def test_what_is_rolled_back_is_not_told(sqlite_url: str):
    told: list[set[str]] = []
    database = Database(sqlite_url, on_change=told.append)

    async def fail() -> None:
        async with database.write() as db:
            db.add(Preference(name="a", value=1))
            await db.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    await database.close()
    assert told == []
