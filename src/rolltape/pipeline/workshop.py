"""What the steps need of the machine: folders, programs, limits."""

from dataclasses import dataclass
from pathlib import Path

from rolltape.capture import CaptureSettings
from rolltape.domain.session import Plan, Session
from rolltape.transfer import TransferSettings

TAKES = ".takes"  # in the folder of recordings: the large one, and on the same disk as what they become


@dataclass(frozen=True)
class Workshop:
    recordings: Path
    artwork: Path
    capture: CaptureSettings
    transfer: TransferSettings
    transfers_per_destination: int

    def takes(self, session: Session) -> Path:
        """The folder of a session's takes and their journal."""
        return self.recordings / TAKES / str(session.id)

    def cover(self, plan: Plan) -> Path | None:
        """The cover as it was uploaded, if it is (still) there."""
        file = self.artwork / plan.artwork if plan.artwork else None
        return file if file is not None and file.is_file() else None
