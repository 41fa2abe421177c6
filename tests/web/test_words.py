"""What states and verdicts are called, and sentences that follow one another."""

import pytest

from rolltape.domain.recording import Verdict
from rolltape.domain.session import SessionState
from rolltape.web.words import STATES, VERDICTS, called, sentence


def test_every_state_and_verdict_has_words() -> None:
    assert set(STATES) == set(SessionState)
    assert set(VERDICTS) == set(Verdict)
    assert (called(SessionState.SKIPPED), called(Verdict.GAPPED), called("gapped")) == (
        "Left out",
        "With gaps",
        "With gaps",
    )
    assert called("something else") == "something else"


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("nas.lan: permission denied", "nas.lan: permission denied."),
        ("It is over.", "It is over."),
        ("Is it over? ", "Is it over?"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_sentence_has_an_end(text: str | None, ended: str) -> None:
    assert sentence(text) == ended
