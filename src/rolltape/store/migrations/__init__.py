"""The schema's history. `env.py` is what Alembic runs; the steps are in `versions`."""
