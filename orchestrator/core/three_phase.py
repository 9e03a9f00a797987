"""The coordinator of three-phase commit. No I/O, no clock, no randomness.

D. Skeen, "Nonblocking commit protocols", SIGMOD 1981; the recovery of sites: D. Skeen and M. Stonebraker,
"A formal model of crash recovery in a distributed system", IEEE TSE 1983.

    coordinator                         participant
    ─ begins ───────── Prepare ───────▶ q → w   does the work, PREPAREs       (Skeen: CanCommit)
    ◀────────── Voted yes ──────────────
    ═ records PRECOMMITTING             (all yes)
    ───────────────── PreCommit ──────▶ w → p   notes it beside what is prepared
    ◀────────── Acked pre-committed ────
    ═ records COMMITTING                (all in p, or dead)
    ───────────────── Commit ─────────▶ p → c   COMMIT PREPARED               (Skeen: DoCommit)
    ◀────────── Acked committed ────────

What is won: nobody commits while anybody is still in w. So a participant in w knows that no commit has
happened, one in p that all have voted yes, and they can finish without the coordinator (`termination.py`).

What it takes: silence must mean death, and nothing that the dead have sent may arrive after they have been
given up. A network that parts the living breaks this, and then no protocol could both decide and agree.
"""

from dataclasses import replace

from orchestrator.core import rounds
from orchestrator.core.commit import Ended, Event, Phase, TimedOut, Transaction, Turn, token
from orchestrator.core.exchange import Acked, Round, State, Voted


def begin(participants: tuple[str, ...], orders: tuple[str, ...], epoch: int, in_turn: bool = False) -> Turn:
    return rounds.begin(participants, orders, epoch, in_turn)


def step(txn: Transaction, event: Event) -> Turn:
    """Total: an event that is late, repeated or makes no sense changes nothing and has no effect."""
    match event:
        case Voted() if rounds.unanimous(txn, event):
            return rounds.record(txn, Phase.PRECOMMITTING)
        case Acked(state=State.PRECOMMITTED) if rounds.awaited(txn, event, Phase.PRECOMMITTING):
            txn = rounds.heard(txn, event)
            return (txn, ()) if txn.waiting else rounds.record(txn, Phase.COMMITTING)
        case TimedOut(armed) if txn.phase is Phase.PRECOMMITTING and armed == token(txn) and _some_live(txn):
            # Skeen's timeout transition: who is silent is dead, and will ask the others when it recovers.
            return rounds.record(txn, Phase.COMMITTING)
        case Acked(state=State.COMMITTED) if _on_their_own(txn, event):
            return rounds.record(txn, Phase.COMMITTING)
        case Acked(state=State.ABORTED) if _on_their_own(txn, event):
            first = Round(txn.epoch, 0)  # an earlier owner may have begun rounds after the one on record
            return rounds.abort(replace(txn, round=max(txn.round, first)), lost=True)
        case _:
            return rounds.step(txn, event)


def resume(txn: Transaction, epoch: int) -> Turn:
    """What the owner of a higher epoch makes of the last state that was forced.

    If somebody may be pre-committed, the participants are finishing, or have finished, without a
    coordinator. One that comes back does not interfere: it asks how it went (Skeen and Stonebraker's
    recovering site). In any other undecided state nobody can have committed.
    """
    assert epoch > txn.epoch, f"epoch {epoch} cannot follow {txn.epoch}"
    match txn.phase:
        case Phase.PRECOMMITTING | Phase.LEARNING:
            return rounds.enter(replace(txn, epoch=epoch), Phase.LEARNING)
        case Phase.COMMITTING:
            return rounds.enter(replace(txn, epoch=epoch), Phase.COMMITTING)
        case Phase.ENDED:
            return txn, (Ended(txn.outcome),)
        case _:
            return rounds.take_over(txn, epoch)


def _on_their_own(txn: Transaction, event: Acked) -> bool:
    """The participants have finished without a coordinator: this one, or the one before it, was silent."""
    return rounds.awaited(txn, event, Phase.PRECOMMITTING) or rounds.awaited(txn, event, Phase.LEARNING)


def _some_live(txn: Transaction) -> bool:
    """Where nobody answers, it is rather the coordinator that is cut off. It keeps asking."""
    return txn.waiting != txn.participants
