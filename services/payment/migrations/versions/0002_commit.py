"""Two- and three-phase commit: what has been decided here. And nothing that every charge would have to lock.

A prepared transaction keeps its locks until somebody decides. Were the revenue a row with a balance, one
charge in doubt would stop all others. So what the bank and the revenue hold is the sum of their entries.
"""

from services.commit import tables
from services.runtime.migrate import execute

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    execute(tables.BRANCHES_1)
    execute("""
        ALTER TABLE accounts ALTER balance DROP NOT NULL;
        UPDATE accounts SET balance = NULL WHERE kind = 'system';
        ALTER TABLE accounts ADD CHECK ((kind = 'system') = (balance IS NULL));
        -- The balance of the revenue used to refuse these.
        ALTER TABLE transfers ADD CHECK (amount >= 0);
    """)
