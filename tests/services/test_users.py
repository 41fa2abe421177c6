"""Accounts and logins: the first visit, signing in, and what wrong passwords cost."""

import asyncio
import stat
from datetime import timedelta

import argon2
import pytest
from sqlalchemy import func, select, update

from rolltape import services
from rolltape.domain.errors import ConflictError, InputError, NotFoundError, TooManyAttempts
from rolltape.domain.setup_code import SHORTEST, bare
from rolltape.domain.units import Seconds
from rolltape.domain.user import Attempts, Login, User
from rolltape.services.back_off import LONGEST_WAIT, by_name, by_peer, wait_after
from rolltape.services.passwords import Passwords
from rolltape.services.setup_code import LETTERS
from rolltape.services.users import Users, Visitor
from tests.services.conftest import HASHER, Bench

PASSWORD = "correct horse"
PEER = "192.168.1.20"


async def set_up(bench: Bench, name: str = "listener") -> User:
    users = bench.services.users
    return await users.set_up(name, PASSWORD, await users.setup_code() or "", PEER)


async def log_in(bench: Bench, password: str = PASSWORD, **more: object) -> str:
    asked: dict[str, object] = {"name": "listener", "peer": PEER, "agent": "Browser", "remember": False} | more
    return await bench.services.users.log_in(password=password, **asked)  # type: ignore[arg-type]


async def visitor(bench: Bench, cookie: str) -> Visitor:
    found = await bench.services.users.who(cookie)
    assert found is not None
    return found


async def fail(bench: Bench, times: int, **more: object) -> None:
    for _ in range(times):
        with pytest.raises(InputError):
            await log_in(bench, "wrong password", **more)


def again(bench: Bench, setup_code: str = "") -> Users:
    """The service as it is after a restart."""
    return services.Users(
        bench.database,
        data_dir=bench.folder,
        setup_code=setup_code,
        clock=bench.clock,
        passwords=Passwords(HASHER),
    )


async def count(bench: Bench, table: type) -> int:
    async with bench.database.read() as db:
        return await db.scalar(select(func.count()).select_from(table)) or 0


# The first visit


async def test_the_setup_code_is_easy_to_read_kept_for_the_next_start_and_for_the_owner_only(bench: Bench) -> None:
    code = await bench.services.users.setup_code()

    assert code is not None
    assert [len(group) for group in code.split("-")] == [4, 4, 4]
    assert set(bare(code)) <= set(LETTERS)
    assert not set("01ILOU") & set(LETTERS)
    file = bench.folder / "setup-code"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await again(bench).setup_code() == code


@pytest.mark.parametrize("content", [b"", b"\n", b"ABC", b"\xff\xfe\x00"])
async def test_a_file_without_a_whole_code_opens_nothing(bench: Bench, content: bytes) -> None:
    (bench.folder / "setup-code").write_bytes(content)

    code = await bench.services.users.setup_code()

    assert code is not None
    assert len(bare(code)) >= SHORTEST
    for typed in ("", " ", content.decode("latin-1")):
        with pytest.raises(InputError):
            await bench.services.users.set_up("listener", PASSWORD, typed, PEER)


async def test_where_the_code_cannot_be_written_it_is_told_all_the_same(bench: Bench) -> None:
    users = services.Users(
        bench.database, data_dir=bench.folder / "file" / "below", setup_code="", clock=bench.clock
    )  # fmt: skip
    (bench.folder / "file").write_text("in the way")

    code = await users.setup_code()

    assert code is not None
    assert (await users.set_up("listener", PASSWORD, code, PEER)).name == "listener"


async def test_the_code_of_the_settings_goes_before(bench: Bench) -> None:
    users = again(bench, "my own CODE 1")

    assert await users.setup_code() == "my own CODE 1"
    await users.set_up("listener", PASSWORD, "MYOWN-code1", PEER)
    assert not (bench.folder / "setup-code").exists()


@pytest.mark.parametrize("change", [str.lower, lambda code: code.replace("-", " "), lambda code: f" {bare(code)}\n"])
async def test_case_dashes_and_blanks_of_a_code_do_not_matter(bench: Bench, change) -> None:
    code = await bench.services.users.setup_code() or ""

    user = await bench.services.users.set_up(" listener ", PASSWORD, change(code), PEER)

    assert user.name == "listener"


async def test_set_up_is_over_for_ever_once_there_is_an_account(bench: Bench) -> None:
    code = await bench.services.users.setup_code() or ""
    await set_up(bench)

    assert await bench.services.users.setup_code() is None
    assert not (bench.folder / "setup-code").exists()
    for users in (bench.services.users, again(bench), again(bench, "my own code 1")):
        with pytest.raises(ConflictError):
            await users.set_up("eve", PASSWORD, code, PEER)
    assert await count(bench, User) == 1


async def test_an_account_of_the_command_line_ends_the_first_visit_too(bench: Bench) -> None:
    assert await bench.services.users.setup_code() is not None

    await again(bench).create("listener", PASSWORD)

    assert await bench.services.users.setup_code() is None


async def test_two_first_visits_at_once_make_one_account(bench: Bench) -> None:
    users = bench.services.users
    code = await users.setup_code() or ""

    done = await asyncio.gather(
        *(users.set_up(name, PASSWORD, code, PEER) for name in ("listener", "ben", "carl")), return_exceptions=True
    )

    assert sorted(type(one).__name__ for one in done) == ["ConflictError", "ConflictError", "User"]
    assert await count(bench, User) == 1


async def test_who_guesses_the_code_has_to_wait_and_nobody_else(bench: Bench) -> None:
    users = bench.services.users
    code = await users.setup_code() or ""
    for _ in range(5):
        with pytest.raises(InputError) as wrong:
            await users.set_up("eve", PASSWORD, "7KQ4-M2XP-9RTD", "10.0.0.9")
        assert (wrong.value.field, wrong.value.code) == ("code", "wrong_code")

    with pytest.raises(TooManyAttempts):
        await users.set_up("eve", PASSWORD, code, "10.0.0.9")

    assert (await users.set_up("listener", PASSWORD, code, PEER)).name == "listener"


@pytest.mark.parametrize(
    ("name", "password", "field"),
    [
        ("", PASSWORD, "name"),
        ("   ", PASSWORD, "name"),
        ("a" * 201, PASSWORD, "name"),
        ("an\x00na", PASSWORD, "name"),
        ("an\u202ena", PASSWORD, "name"),
        ("\ud800", PASSWORD, "name"),
        ("listener", "", "password"),
        ("listener", "1234567", "password"),
        ("listener", "x" * 1001, "password"),
        ("Annabelle", "annabelle", "password"),
    ],
)
async def test_names_and_passwords_that_cannot_be_used_get_a_sentence_at_the_field(
    bench: Bench, name: str, password: str, field: str
) -> None:
    users = bench.services.users
    code = await users.setup_code() or ""

    with pytest.raises(InputError) as at_set_up:
        await users.set_up(name, password, code, PEER)
    with pytest.raises(InputError) as at_create:
        await users.create(name, password)

    assert at_set_up.value.field == at_create.value.field == field
    assert at_set_up.value.message.endswith(".")
    assert await count(bench, User) == 0


# Signing in


async def test_passwords_are_kept_as_argon2id_hashes_and_cookies_as_hashes(bench: Bench) -> None:
    user = await set_up(bench)
    cookie = await log_in(bench)

    async with bench.database.read() as db:
        login = await db.scalar(select(Login))
    assert user.password.startswith("$argon2id$")
    assert login is not None
    assert len(cookie) >= 43  # 256 bits
    assert cookie not in login.sha256


async def test_a_hash_of_the_service_takes_as_much_memory_as_is_recommended() -> None:
    kept = await Passwords().hash(PASSWORD)

    assert argon2.extract_parameters(kept).memory_cost >= 19 * 1024  # KiB; OWASP's least for argon2id


async def test_a_login_lasts_over_a_restart_until_it_is_ended(bench: Bench) -> None:
    await set_up(bench)
    cookie = await log_in(bench)

    found = await again(bench).who(cookie)
    assert found is not None
    assert found.user.name == "listener"

    await bench.services.users.log_out(cookie)
    assert await bench.services.users.who(cookie) is None


@pytest.mark.parametrize("cookie", ["", "x", "\ud800", "x" * 10_000, "' OR 1=1 --"])
async def test_a_cookie_that_was_not_given_out_is_nobodys(bench: Bench, cookie: str) -> None:
    await set_up(bench)
    await log_in(bench)

    assert await bench.services.users.who(cookie) is None


@pytest.mark.parametrize(
    ("remember", "idle", "life"),
    [(False, timedelta(hours=12), timedelta(days=30)), (True, timedelta(days=30), timedelta(days=180))],
)
async def test_a_login_ends_when_it_is_not_used_and_when_it_is_old(
    bench: Bench, remember: bool, idle: timedelta, life: timedelta
) -> None:
    await set_up(bench)
    users = bench.services.users
    cookie = await log_in(bench, remember=remember)
    step = idle - timedelta(minutes=1)
    for _ in range(life // step):
        bench.clock.moment += step
        assert await users.who(cookie) is not None

    bench.clock.moment += step
    assert await users.who(cookie) is None

    unused = await log_in(bench, remember=remember)
    bench.clock.moment += idle + timedelta(minutes=1)
    assert await users.who(unused) is None


async def test_logins_that_are_over_are_neither_listed_nor_kept(bench: Bench) -> None:
    user = await set_up(bench)
    await log_in(bench)
    bench.clock.move(hours=13)
    assert await bench.services.users.logins(user) == []

    await log_in(bench, agent="Second")

    assert [login.agent for login in await bench.services.users.logins(user)] == ["Second"]
    assert await count(bench, Login) == 1


async def test_when_a_login_was_used_is_written_down_every_few_minutes_only(bench: Bench) -> None:
    user = await set_up(bench)
    cookie = await log_in(bench)
    began = bench.clock()

    seen = []
    for _ in range(12):
        bench.clock.move(minutes=1)
        await bench.services.users.who(cookie)
        seen.append((await bench.services.users.logins(user))[0].last_used_at)

    assert len({moment for moment in seen if moment != began}) == 2


async def test_names_and_agents_as_strangers_send_them_do_no_harm(bench: Bench) -> None:
    user = await set_up(bench)
    for name in ("", "\x00", "\ud800", "x" * 100_000, "' OR 1=1 --", "nobody"):
        with pytest.raises(InputError) as wrong:
            await log_in(bench, name=name, peer=f"10.0.0.{len(name) % 250}")
        assert wrong.value.message == "The name or the password is wrong."

    await log_in(bench, agent="\x1b[31m\u202e\x00" + "x" * 5000, peer="p" * 5000)

    (login,) = await bench.services.users.logins(user)
    assert login.agent == "[31m" + "x" * 196
    assert len(login.peer) == 100


async def test_the_same_letter_from_another_keyboard_is_the_same_password(bench: Bench) -> None:
    await bench.services.users.create("listener", "caf\u00e9 au lait")

    assert await log_in(bench, "cafe\u0301 au lait")


async def test_a_password_that_was_hashed_otherwise_is_hashed_anew_when_it_is_used(bench: Bench) -> None:
    user = await set_up(bench)
    old = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    async with bench.database.write() as db:
        await db.execute(update(User).where(User.id == user.id).values(password=old))

    await log_in(bench)

    async with bench.database.read() as db:
        kept = await db.scalar(select(User.password))
    assert kept is not None
    assert not HASHER.check_needs_rehash(kept)
    assert await log_in(bench)


async def test_an_unknown_user_takes_as_much_work_as_a_known_one(bench: Bench) -> None:
    await set_up(bench)
    work: dict[str, int] = {}
    for name in ("listener", "nobody"):
        before = HASHER.compared
        with pytest.raises(InputError):
            await log_in(bench, "wrong password", name=name, peer="10.0.0.1")
        work[name] = HASHER.compared - before

    assert work == {"listener": 1, "nobody": 1}


# Wrong passwords


def test_the_wait_doubles_from_the_fifth_on_up_to_five_minutes() -> None:
    waits = [wait_after(failures) for failures in (0, 1, 4, 5, 6, 7, 12, 13, 10**9)]

    assert waits == [0, 0, 0, 2, 4, 8, 256, LONGEST_WAIT, LONGEST_WAIT]


async def test_five_wrong_passwords_cost_a_wait_that_is_told(bench: Bench) -> None:
    await set_up(bench)
    await fail(bench, 5)

    with pytest.raises(TooManyAttempts) as refused:
        await log_in(bench)
    assert refused.value.retry_after == Seconds(2)
    assert refused.value.message == "Too many attempts. Wait 2 seconds, then try again."

    bench.clock.move(seconds=2)
    await fail(bench, 1)
    bench.clock.move(seconds=3)
    with pytest.raises(TooManyAttempts):
        await log_in(bench)
    bench.clock.move(seconds=1)
    assert await log_in(bench)


async def test_the_wait_outlives_a_restart(bench: Bench) -> None:
    await set_up(bench)
    await fail(bench, 5)

    with pytest.raises(TooManyAttempts):
        await again(bench).log_in("listener", PASSWORD, peer=PEER, agent="", remember=False)


async def test_a_hundred_attempts_at_once_are_no_way_around_the_wait(bench: Bench) -> None:
    await set_up(bench)

    done = await asyncio.gather(*(log_in(bench, "wrong password") for _ in range(100)), return_exceptions=True)

    assert sum(type(one) is InputError for one in done) == 5
    assert sum(type(one) is TooManyAttempts for one in done) == 95


async def test_the_right_password_takes_the_count_back(bench: Bench) -> None:
    await set_up(bench)
    for _ in range(3):
        await fail(bench, 4)
        await log_in(bench)

    assert await count(bench, Attempts) == 0


async def test_an_account_is_guarded_from_many_addresses_and_an_address_over_many_accounts(bench: Bench) -> None:
    await set_up(bench)
    for number in range(5):
        await fail(bench, 1, peer=f"10.0.0.{number}")
    with pytest.raises(TooManyAttempts):
        await log_in(bench, peer="10.0.0.77")

    for number in range(5):
        await fail(bench, 1, name=f"user {number}", peer="10.0.1.1")
    with pytest.raises(TooManyAttempts):
        await log_in(bench, name="somebody", peer="10.0.1.1")


async def test_strangers_keep_nobody_out_who_is_signed_in(bench: Bench) -> None:
    await set_up(bench)
    cookie = await log_in(bench)
    token = await bench.services.tokens.create("script")
    await fail(bench, 5)

    signed_in = await visitor(bench, cookie)
    await bench.services.users.change_password(signed_in, PASSWORD, "another password")

    assert await bench.services.users.who(cookie) is not None
    assert await bench.services.tokens.is_known(token)


async def test_a_clock_that_is_set_back_keeps_nobody_out_for_long(bench: Bench) -> None:
    await set_up(bench)
    await fail(bench, 5)

    bench.clock.move(days=-400)

    assert await log_in(bench)


async def test_attempts_of_yesterday_are_forgotten_and_removed(bench: Bench) -> None:
    await set_up(bench)
    await fail(bench, 4)
    bench.clock.move(hours=25)

    await fail(bench, 4)
    bench.clock.move(hours=25)
    await fail(bench, 1, name="other", peer="10.0.0.1")

    assert await count(bench, Attempts) == 2


def test_addresses_that_one_machine_can_change_are_one_source() -> None:
    assert by_peer("2001:db8:1:2::1") == by_peer("2001:db8:1:2:ffff::9")
    assert by_peer("2001:db8:1:2::1") != by_peer("2001:db8:1:3::1")
    assert by_peer("::ffff:10.0.0.1") == by_peer("10.0.0.1") != by_peer("10.0.0.2")
    assert len(by_peer("x" * 100_000)) <= 300
    assert len(by_name("x" * 100_000)) <= 300


# Passwords and logins afterwards


async def test_another_password_ends_all_other_logins(bench: Bench) -> None:
    user = await set_up(bench)
    mine, others = await log_in(bench), [await log_in(bench), await log_in(bench, remember=True)]
    users = bench.services.users

    await users.change_password(await visitor(bench, mine), PASSWORD, "another password")

    assert [await users.who(cookie) for cookie in others] == [None, None]
    assert len(await users.logins(user)) == 1
    assert (await visitor(bench, mine)).user.name == "listener"
    with pytest.raises(InputError):
        await log_in(bench, PASSWORD)
    assert await log_in(bench, "another password")


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("wrong password", "another password", "old"),
        ("", "another password", "old"),
        (PASSWORD, "short", "new"),
        (PASSWORD, "x" * 1001, "new"),
        (PASSWORD, "", "new"),
    ],
)
async def test_a_change_of_the_password_is_checked(bench: Bench, old: str, new: str, field: str) -> None:
    await set_up(bench)
    signed_in = await visitor(bench, await log_in(bench))

    with pytest.raises(InputError) as refused:
        await bench.services.users.change_password(signed_in, old, new)

    assert refused.value.field == field
    assert await log_in(bench)


async def test_a_borrowed_browser_cannot_guess_the_password(bench: Bench) -> None:
    await set_up(bench)
    signed_in = await visitor(bench, await log_in(bench))
    for _ in range(5):
        with pytest.raises(InputError):
            await bench.services.users.change_password(signed_in, "wrong password", "another password")

    with pytest.raises(TooManyAttempts):
        await bench.services.users.change_password(signed_in, PASSWORD, "another password")


async def test_the_command_line_sets_a_password_and_signs_out_everywhere(bench: Bench) -> None:
    await set_up(bench)
    cookie = await log_in(bench)

    await bench.services.users.set_password("listener", "another password")

    assert await bench.services.users.who(cookie) is None
    assert await log_in(bench, "another password")
    with pytest.raises(NotFoundError):
        await bench.services.users.set_password("nobody", "another password")
    with pytest.raises(InputError):
        await bench.services.users.set_password("listener", "short")


async def test_a_name_is_taken_once(bench: Bench) -> None:
    await set_up(bench)

    with pytest.raises(ConflictError):
        await bench.services.users.create("listener", "another password")


async def test_one_login_of_several_is_ended(bench: Bench) -> None:
    user = await set_up(bench)
    first, second = await log_in(bench), await log_in(bench)
    users = bench.services.users

    await users.end_login((await visitor(bench, first)).login_id)

    assert await users.who(first) is None
    assert await users.who(second) is not None
    assert len(await users.logins(None)) == len(await users.logins(user)) == 1
    with pytest.raises(NotFoundError):
        await users.end_login(999)


async def test_a_token_that_is_deleted_opens_nothing(bench: Bench) -> None:
    tokens = bench.services.tokens
    kept, _ = await tokens.make("kept")
    gone, shown = await tokens.make("gone")
    assert await tokens.is_known(shown)

    await tokens.delete(gone.id)

    assert not await tokens.is_known(shown)
    assert [token.id for token in await tokens.all()] == [kept.id]
    with pytest.raises(NotFoundError):
        await tokens.delete(gone.id)
