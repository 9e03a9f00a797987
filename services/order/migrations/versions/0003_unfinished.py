"""How many orders are unfinished is asked twice a second."""

from services.runtime.migrate import execute

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    execute("CREATE INDEX orders_unfinished ON orders (order_id) WHERE status = 'PENDING'")
