"""What years of operation need: notifications, and how long recordings are kept."""

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_notifications()
    _add_retention()


def _add_notifications() -> None: ...


def _add_retention() -> None: ...
