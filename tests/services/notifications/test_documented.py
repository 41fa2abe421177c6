"""What docs/notifications.md says can be done with a message."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rolltape.domain.notification import ChannelFields, Occasion
from rolltape.services.clock import utc_now
from tests.services.notifications.conftest import SECRET, Desk

TEXT = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text()


def example(language: str) -> str:
    """The one example in this language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
async def sent(desk: Desk) -> tuple[dict[str, str], bytes]:
    """Headers and body of a message that was just sent."""
    desk.bench.clock.moment = utc_now()
    await desk.channel()
    await desk.turn()
    await desk.ends(2, error_code="dns_failed", error_message="radio.example: the name server does not answer.")
    await desk.turn()
    (request,) = desk.listener.received
    names = ("Rolltape-Id", "Rolltape-Timestamp", "Rolltape-Signature")
    return {name: request.headers[name.lower()] for name in names}, request.body


def test_python_tells_what_is_genuine_from_what_is_forged_or_old(sent: tuple[dict[str, str], bytes]) -> None:
    known: dict[str, Any] = {}
    exec(example("python"), known)
    is_from_rolltape, (headers, body) = known["is_from_rolltape"], sent

    assert is_from_rolltape(SECRET, headers, body)
    assert not is_from_rolltape(SECRET, headers, body + b" ")
    assert not is_from_rolltape("another secret", headers, body)
    assert not is_from_rolltape(SECRET, headers | {"Rolltape-Timestamp": "1700000000"}, body)


@pytest.mark.parametrize(
    ("appended", "secret", "said"), [(b"", SECRET, "genuine"), (b" ", SECRET, "forged"), (b"", "x", "forged")]
)
def test_a_shell_does_too(
    sent: tuple[dict[str, str], bytes], tmp_path: Path, appended: bytes, secret: str, said: str
) -> None:
    headers, body = sent
    (tmp_path / "body").write_bytes(body + appended)
    given = {"TIMESTAMP": headers["Rolltape-Timestamp"], "SIGNATURE": headers["Rolltape-Signature"], "SECRET": secret}

    done = subprocess.run(
        ["sh", "-eu", "-c", example("sh")], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", **given},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.strip() == said


def test_the_example_has_the_fields_of_a_message(sent: tuple[dict[str, str], bytes]) -> None:
    shown, told = json.loads(example("json")), json.loads(sent[1])

    assert list(shown) == list(told)
    assert list(shown["items"][0]) == list(told["items"][0])
    assert (shown["event"], shown["title"], shown["count"]) == (told["event"], told["title"], told["count"])


def test_every_event_is_told() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", TEXT, re.MULTILINE)) >= set(Occasion)


def test_the_addresses_for_apprise_are_taken() -> None:
    addresses = re.findall(r"^\| [^|]+ \| `(\w+://[^`]+)` \|$", TEXT, re.MULTILINE)

    assert len(addresses) > 5
    for address in addresses:
        ChannelFields.model_validate({"name": "A", "kind": "apprise", "address": address})
