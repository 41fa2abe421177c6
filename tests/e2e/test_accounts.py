"""Accounts of a real service: the code in its log, logins that outlive it, the command line beside it."""

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.servers.process import wait_until
from tests.servers.rolltape import PROGRAM, Rolltape, rolltape

PASSWORD = "correct horse"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Rolltape]:
    """A service that was just installed."""
    with rolltape(tmp_path / "rolltape") as running:
        yield running


def browser(service: Rolltape) -> httpx2.Client:
    return httpx2.Client(base_url=service.url, headers={"Origin": service.url}, timeout=30)


def code_in_log(service: Rolltape) -> str:
    """The code as the log tells it, beside the address of the page that asks for it."""
    told = re.compile(rf"open \S+:{service.port}/setup and give the code ([A-Z0-9-]{{14}})")
    wait_until(lambda: told.search(service.log) is not None, "the log telling the code")
    code: str = told.findall(service.log)[-1]
    return code


def set_up(service: Rolltape, visitor: httpx2.Client) -> httpx2.Response:
    form = {"code": code_in_log(service), "name": "listener", "password": PASSWORD, "again": PASSWORD}
    return visitor.post("/setup", data=form)


def test_the_code_of_the_log_opens_the_first_visit_and_the_login_outlives_a_kill(fresh: Rolltape) -> None:
    with browser(fresh) as visitor:
        assert visitor.get("/").headers["location"] == "/setup"
        first = code_in_log(fresh)
        fresh.kill()
        fresh.start()
        assert code_in_log(fresh) == first
        assert set_up(fresh, visitor).status_code == 303
        (name,) = visitor.cookies
        assert name == f"rolltape_{fresh.port}"
        fresh.kill()
        fresh.start()

        assert visitor.get("/api/system").status_code == 200
        assert visitor.get("/setup").headers["location"] == "/"
        late = visitor.post("/setup", data={"code": first, "name": "eve", "password": PASSWORD, "again": PASSWORD})

    assert late.status_code == 409
    assert fresh.log.count("give the code") == 2
    data = fresh.folder / "data"
    assert not (data / "setup-code").exists()
    open_to_others = [path for path in (data, *data.rglob("*")) if path.stat().st_mode & 0o077]
    assert open_to_others == []
    assert PASSWORD not in fresh.log


def test_accounts_are_made_and_passwords_set_beside_the_service(fresh: Rolltape) -> None:
    def sign_in(password: str) -> int:
        with browser(fresh) as visitor:
            return visitor.post("/login", data={"name": "listener", "password": password}).status_code

    made = fresh.command("user", "create", "listener", typed=f"{PASSWORD}\n")
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    assert sign_in(PASSWORD) == 303
    assert fresh.command("user", "password", "listener", typed="another password\n").returncode == 0
    assert [sign_in(PASSWORD), sign_in("another password")] == [422, 303]


@pytest.mark.parametrize(
    ("words", "typed", "sentence"),
    [
        (("create", "listener"), "short\n", "A password has at least 8 characters."),
        (("create", "listener"), "", "A password has at least 8 characters."),
        (("create", ""), f"{PASSWORD}\n", "A name is needed."),
        (("create", "annabelle"), "annabelle\n", "The password must not be the name."),
        (("password", "nobody"), f"{PASSWORD}\n", "There is no user named nobody."),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, words: tuple[str, str], typed: str, sentence: str
) -> None:
    done = Rolltape(tmp_path, {}).command("user", *words, typed=typed)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{sentence}\n")


@pytest.mark.parametrize(("second", "code"), [(PASSWORD, 0), ("another password", 1)])
def test_on_a_terminal_the_password_is_typed_twice_and_not_shown(tmp_path: Path, second: str, code: int) -> None:
    ours, theirs = pty.openpty()
    env = os.environ | {"ROLLTAPE_DATA_DIR": str(tmp_path / "data")}
    command = [str(PROGRAM), "user", "create", "listener"]
    shown = b""
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as run:
        os.close(theirs)
        for question, answer in ((b"Password: ", PASSWORD), (b"Once more: ", second)):
            while not shown.endswith(question):
                shown += os.read(ours, 1000)
            os.write(ours, f"{answer}\n".encode())
        run.wait(60)
    os.close(ours)

    assert run.returncode == code
    assert PASSWORD.encode() not in shown
