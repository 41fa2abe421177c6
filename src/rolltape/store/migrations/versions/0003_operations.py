"""What years of operation need: notifications, and how long recordings are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_notifications()
    _add_retention()


def _add_notifications() -> None: ...


def _add_retention() -> None:
    for column in (
        sa.Column("keep_days", sa.Integer(), nullable=True),
        sa.Column("keep_count", sa.Integer(), nullable=True),
        sa.Column("keep_gigabytes", sa.Float(), nullable=True),
        sa.Column("keep_agreed", sa.JSON(), nullable=True),
        sa.Column("keep_looked_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("streams", column)
    for column in (
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_why", sa.String(), nullable=True),
        sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("sessions", column)
    # What was deleted after its delivery until now is known by its story only.
    op.execute(
        "UPDATE sessions SET deleted_at = (SELECT max(events.at) FROM events WHERE events.session_id = sessions.id "
        "AND events.kind = 'deleted'), deleted_why = 'It was delivered, and its stream keeps no copy here.' "
        "WHERE file IS NOT NULL AND id IN (SELECT session_id FROM events WHERE kind = 'deleted')"
    )
