"""`python -m services.runtime.migrate SERVICE`: brings a service's database to its latest schema.

Each service has an Alembic history of its own beside its code. Safe to repeat, and for several to start
at once: an advisory lock lets one work while the others wait and then find nothing to do.
"""

import asyncio
import os
import sys
from pathlib import Path

from alembic import command, context, op
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "order": ROOT / "services/order/migrations",
    "payment": ROOT / "services/payment/migrations",
    "inventory": ROOT / "services/inventory/migrations",
    "orchestrator": ROOT / "orchestrator/migrations",
}
LOCK = 7_203_517
"""Any number, as long as it is always the same."""


def upgrade(service: str, url: str) -> None:
    """Applies what is missing, all in one transaction. Raises KeyError for an unknown service."""
    config = Config()
    config.set_main_option("script_location", str(FOLDERS[service]))
    config.set_main_option("path_separator", "os")

    async def connect() -> None:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))
        async with engine.begin() as connection:
            await connection.run_sync(migrate)
        await engine.dispose()

    def migrate(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    asyncio.run(connect())


def run_env() -> None:
    """What the `env.py` of each history calls."""
    context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
    context.run_migrations()


def execute(script: str) -> None:
    """For migrations: runs statements that end in a semicolon, one by one as the driver wants them."""
    for statement in script.split(";"):
        if statement.strip():
            op.execute(statement)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in FOLDERS:
        raise SystemExit(f"usage: python -m services.runtime.migrate {'|'.join(FOLDERS)}")
    upgrade(sys.argv[1], os.environ["DATABASE_URL"])
