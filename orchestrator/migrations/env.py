"""Alembic's entry to this history."""

from services.runtime.migrate import run_env

run_env()
