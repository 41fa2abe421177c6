"""Runs the migrations on the connection that `database.migrate` hands over, in one transaction."""

from alembic import context

from rolltape.domain import (  # noqa: F401 (the tables)
    destination,
    kept_preference,
    notification,
    schedule,
    session,
    stream,
    take,
    tally,
    transfer,
    user,
    waveform,
)
from rolltape.domain.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
