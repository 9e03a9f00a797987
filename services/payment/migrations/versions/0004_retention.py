"""Old keys are found page by page, without an index."""

from services.runtime.migrate import execute

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Pruning reuses the pages of old rows for new ones, until no block range is all old or all young.
    execute("DROP INDEX idempotency_by_age")
