"""The coordinator of two-phase commit, with presumed abort. No I/O, no clock, no randomness.

J. Gray, "Notes on data base operating systems", 1978. B. Lampson and H. Sturgis, "Crash recovery in a
distributed data storage system", 1976. Presumed abort: C. Mohan, B. Lindsay and R. Obermarck,
"Transaction management in the R* distributed database management system", TODS 1986.

    coordinator                         participant
    ─ begins ──────── Prepare ────────▶ does the work, PREPAREs: from here on it is in doubt
    ◀───────── Voted yes ───────────────
    ═ records COMMITTING                (all yes: the decision)
    ──────────────── Commit ──────────▶ COMMIT PREPARED
    ◀───────── Acked committed ─────────
    ─ forgets                           (all acknowledged)

Anything but a yes from all, and it is Abort that is sent, of which nothing is recorded.

Between its vote and the coordinator's word a participant can decide nothing. If the coordinator is dead,
it waits, and everybody waits for its locks: two-phase commit *blocks*.
"""

from dataclasses import replace

from orchestrator.core import rounds
from orchestrator.core.commit import Ended, Event, Phase, Transaction, Turn
from orchestrator.core.exchange import Voted


def begin(participants: tuple[str, ...], orders: tuple[str, ...], epoch: int, in_turn: bool = False) -> Turn:
    return rounds.begin(participants, orders, epoch, in_turn)


def step(txn: Transaction, event: Event) -> Turn:
    """Total: an event that is late, repeated or makes no sense changes nothing and has no effect."""
    match event:
        case Voted() if rounds.unanimous(txn, event):
            # The point of no return. The record comes first: somebody who hears "commit" acts on it.
            return rounds.record(txn, Phase.COMMITTING)
        case _:
            return rounds.step(txn, event)


def resume(txn: Transaction, epoch: int) -> Turn:
    """What the owner of a higher epoch makes of the last state that was forced.

    A recorded commit is repeated until everybody has it (Mohan et al., §3). Without a record, no earlier
    owner has said commit, and none ever will: its epoch is not the highest any more.
    """
    assert epoch > txn.epoch, f"epoch {epoch} cannot follow {txn.epoch}"
    match txn.phase:
        case Phase.COMMITTING:
            return rounds.enter(replace(txn, epoch=epoch), Phase.COMMITTING)
        case Phase.ENDED:
            return txn, (Ended(txn.outcome),)
        case _:
            return rounds.take_over(txn, epoch)
