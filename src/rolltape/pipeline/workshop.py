"""What the steps need of the machine: folders, programs, limits."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from rolltape.capture import CaptureSettings
from rolltape.domain.session import Plan, Session
from rolltape.domain.take import takes_folder
from rolltape.pipeline.ahead import WorkAhead
from rolltape.transfer import TransferSettings


async def _no_warning(_session_id: int) -> None:
    return None


@dataclass
class Workshop:
    recordings: Path
    artwork: Path
    capture: CaptureSettings
    transfer: TransferSettings
    transfers_per_destination: int
    may_do: Callable[[str], bool] = lambda _: True  # whether there is room for work that is not critical
    room_warning: Callable[[int], Awaitable[str | None]] = _no_warning  # why a session (by its number) may not fit
    ahead: WorkAhead = field(default_factory=WorkAhead)
    on_done: Callable[[], None] = lambda: None  # a recording is where it belongs

    def takes(self, session: Session) -> Path:
        """The folder of a session's takes and their journal."""
        return takes_folder(self.recordings, session.id)

    def cover(self, plan: Plan) -> Path | None:
        """The cover as it was uploaded, if it is (still) there."""
        file = self.artwork / plan.artwork if plan.artwork else None
        return file if file is not None and file.is_file() else None
