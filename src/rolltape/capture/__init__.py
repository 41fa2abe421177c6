"""Step 1 of a session: audio from an address into takes on disk, with a journal of what happened."""

from rolltape.capture.journal import Journal, make_up_for, read_journal
from rolltape.capture.probe import Offer, probe
from rolltape.capture.recorder import CaptureEvent, Progress, Recorder
from rolltape.capture.registry import CaptureSettings

__all__ = [
    "CaptureEvent",
    "CaptureSettings",
    "Journal",
    "Offer",
    "Progress",
    "Recorder",
    "make_up_for",
    "probe",
    "read_journal",
]
