"""What states and verdicts are called in the pages."""

from collections.abc import Mapping

from rolltape.domain.recording import Verdict
from rolltape.domain.session import SessionState

STATES: Mapping[SessionState, str] = {
    SessionState.SCHEDULED: "Planned",
    SessionState.WAITING: "Waiting for room",
    SessionState.RECORDING: "Recording",
    SessionState.PROCESSING: "Being finished",
    SessionState.DELIVERING: "Being delivered",
    SessionState.DONE: "Done",
    SessionState.FAILED: "Failed",
    SessionState.MISSED: "Missed",
    SessionState.CANCELLED: "Cancelled",
    SessionState.SKIPPED: "Left out",
}
VERDICTS: Mapping[Verdict, str] = {
    Verdict.COMPLETE: "Complete",
    Verdict.GAPPED: "With gaps",
    Verdict.SHORT: "Too short",
    Verdict.LATE: "Began late",
    Verdict.SILENT: "Silent",
}
_SESSION = {str(key): word for names in (STATES, VERDICTS) for key, word in names.items()}


def called(word: str) -> str:
    """The words for a state or verdict of a session."""
    return _SESSION.get(str(word), str(word))


def sentence(text: str | None) -> str:
    """`text` with a full stop, so that another sentence can follow it."""
    text = (text or "").rstrip()
    return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."
