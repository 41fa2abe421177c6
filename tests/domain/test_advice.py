"""Whatever goes wrong, a person is told in plain words what to do."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rolltape
from rolltape.domain.advice import UNKNOWN, advice, verdict_words
from rolltape.domain.errors import RolltapeError
from rolltape.domain.recording import Verdict

SOURCE = Path(rolltape.__file__).parent
# Where a code of an error that a session or a transfer can have is written.
CODES = re.compile(
    r'\bcode="([a-z_0-9]+)"|\bcode, what = "([a-z_0-9]+)"|_failure\(\s*"([a-z_0-9]+)"|"error_code": "([a-z_0-9]+)"'
    r'|else "(no_audio|unexpected)"|\("(tls_[a-z_]+)"'
)
NOT_OF_SESSIONS = {
    "wrong_code", "wrong_login", "wrong_password",  # told to who signs in, at once
    "backup_damaged", "backup_foreign", "backup_newer", "backup_invalid", "backup_passphrase",  # and who restores
}  # fmt: skip


def kinds(kind: type[RolltapeError]) -> Iterator[type[RolltapeError]]:
    yield kind
    for special in kind.__subclasses__():
        yield from kinds(special)


def every_kind() -> set[type[RolltapeError]]:
    for module in pkgutil.walk_packages([str(SOURCE)], "rolltape."):
        if "migrations" not in module.name and "__main__" not in module.name:
            importlib.import_module(module.name)
    return set(kinds(RolltapeError))


def written_codes() -> set[str]:
    found: set[str] = set()
    for folder in ("capture", "transfer", "process", "pipeline", "services", "store", "ffmpeg"):
        for file in (SOURCE / folder).rglob("*.py"):
            found |= {next(filter(None, groups)) for groups in CODES.findall(file.read_text())}
    return found


def test_every_kind_of_error_has_its_advice() -> None:
    without = {kind.code for kind in every_kind() if kind.code != "error" and advice(kind.code) == UNKNOWN}

    assert without == set()


def test_every_code_of_a_session_or_transfer_has_its_advice() -> None:
    codes = written_codes()

    assert len(codes) > 50
    assert {code for code in codes - NOT_OF_SESSIONS if advice(code) == UNKNOWN} == set()


@pytest.mark.parametrize("code", ["http_400", "http_418", "http_500", "http_503", "tls_expired", "no_room"])
def test_codes_that_are_made_have_theirs_too(code: str) -> None:
    assert advice(code) != UNKNOWN


@pytest.mark.parametrize("code", ["", "nonsense", "x" * 10_000, "HTTP_500"])
def test_a_code_that_nobody_knows_gets_a_sentence(code: str) -> None:
    assert advice(code) == UNKNOWN


def test_advice_is_one_plain_sentence_with_something_to_do() -> None:
    for code in written_codes() | {kind.code for kind in every_kind()}:
        sentence = advice(code)
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert ": " in sentence, sentence  # what happened: what to do
        assert ". " not in sentence, sentence
        assert not re.search(r"[a-z]+_[a-z]+", sentence), sentence  # no codes


def test_every_verdict_has_words() -> None:
    assert len({verdict_words(verdict) for verdict in Verdict}) == len(Verdict)
