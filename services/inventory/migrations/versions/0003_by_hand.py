"""What operators decide by hand about transactions in doubt."""

from services.commit import tables
from services.runtime.migrate import execute

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    execute(tables.HEURISTICS_1)
