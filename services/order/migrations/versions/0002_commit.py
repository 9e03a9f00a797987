"""Two- and three-phase commit: what has been decided here."""

from services.commit import tables
from services.runtime.migrate import execute

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    execute(tables.BRANCHES_1)
