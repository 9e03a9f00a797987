"""The worlds of one transaction under two-phase commit.

Coordinators crash, and others take over with a higher epoch, whether the last one is dead or only slow: a
slow one goes on, and what it wants to write is refused. Any timer may ring at any time, and so may the
deadline. Participants may die between any two acts, lose races, and ask the coordinator when in doubt.

To keep the worlds few, an answer that nobody waits for is dropped, as it changes nothing (that is a test
of its own in `test_every_two_phase_world.py`); and, where `alike` says so, worlds that differ only in which
participant is which are taken for one.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from orchestrator.core.commit import Phase, Transaction
from orchestrator.core.exchange import Abort, Commit, Prepare, State
from tests.exhaustive.commit_worlds import CommitModel, Owner, Scope, Seat, World, text
from tests.exhaustive.explorer import Move
from tests.sim.commit_world import TWO_PHASE, Protocol, agree
from tests.sim.world import insist


class TwoPhaseModel(CommitModel):
    def __init__(self, scope: Scope, protocol: Protocol = TWO_PHASE) -> None:
        super().__init__(scope, protocol)
        self.rank: dict[Seat, int] = {}

    def check(self, world: World) -> None:
        if world.by_hand:
            named = world.record is not None and bool(world.record.mixed)
            insist(agree(world.sites) or not world.over or named, "an operator's contradiction is not named")
        else:
            super().check(world)

    def moves(self, world: World) -> Iterator[Move[World]]:
        for name, after, fair in self._moves(world):
            if after != world:
                yield Move(name, self._normal(after), fair)

    def _moves(self, world: World) -> Iterator[Move[World]]:
        for n, seat in enumerate(world.seats):
            for request in sorted(seat.requests, key=text):
                yield from self.deliver(world, n, request)
            yield from self._in_doubt(world, n)
        for owner in world.owners:
            if owner.txn is not None:
                yield from self.owner(world, owner, owner.txn)
        if world.epoch < self.scope.epochs and (self.scope.paused or not world.owners):
            yield self.take_over(world)
        if self.scope.silence:
            seats = tuple(Seat(seat.site) for seat in world.seats)
            yield Move("everything under way is lost", world._replace(seats=seats), False)

    def _normal(self, world: World) -> World:
        """Without what can change nothing any more; and in one order, whichever participant is which."""
        owners = tuple(o for o in world.owners if o.epoch == world.epoch or self._has_more_to_say(o.txn))
        world = world._replace(owners=owners)
        seats = tuple(map(partial(self._seen, owners=owners, epoch=world.epoch), world.seats, self.names))
        if not self.scope.alike:
            return world._replace(seats=seats)
        known = [owner.txn for owner in world.owners]
        keys = [
            (
                self.rank.setdefault(seat, len(self.rank)),
                *(txn is not None and name in txn.waiting for txn in known),
            )
            for seat, name in zip(seats, self.names, strict=True)
        ]
        order = tuple(sorted(range(len(seats)), key=keys.__getitem__))
        owners = tuple(Owner(owner.epoch, self._renamed(owner.txn, order)) for owner in world.owners)
        return world._replace(seats=tuple(seats[n] for n in order), owners=owners)

    def _has_more_to_say(self, txn: Transaction | None) -> bool:
        """Otherwise a stale owner is as good as gone: what it said is under way, and it can write nothing."""
        return txn is not None and (txn.phase is Phase.VOTING or txn.round.number < self.scope.rounds)

    def _seen(self, seat: Seat, name: str, owners: tuple[Owner, ...], epoch: int) -> Seat:
        """Drops answers that nobody waits for, and requests of the past that lead to no other answer.

        Also what a stale owner would hear but yes: after a no it stops, and busy is to it what silence is.
        """
        waiting = [o.txn for o in owners if o.txn and name in o.txn.waiting]
        votes = {txn.round for txn in waiting if txn.phase is Phase.VOTING}
        acks = {txn.round for txn in waiting if txn.phase is not Phase.VOTING}
        branch = seat.site.branch
        requests = (
            r for r in seat.requests
            if r.round in (votes if isinstance(r, Prepare) else acks)
            or not (branch.committed or r.round <= branch.buried)
        )  # fmt: skip
        answers = (
            a for a in seat.answers
            if a.round in (acks if isinstance(a.what, State) else votes)
            and (a.what == "yes" or a.round.epoch == epoch or isinstance(a.what, State))
        )  # fmt: skip
        return Seat(seat.site, frozenset(requests), frozenset(answers))

    # A participant.

    def _in_doubt(self, world: World, n: int) -> Iterator[Move[World]]:
        prepared = world.seats[n].site.branch.prepared
        if prepared is None:
            return
        for owner in world.owners:
            if owner.epoch == world.epoch:
                said = self.protocol.verdict(owner.txn, prepared)
                if said is not State.WAITING:
                    told = Commit(prepared) if said is State.COMMITTED else Abort(prepared)
                    for name, after, fair in self.deliver(world, n, told):
                        yield Move(f"{self.names[n]} asks, and is told: {name}", after, fair)
        if self.scope.by_hand and not world.by_hand:
            for request in (Commit(prepared), Abort(prepared)):
                for name, after, _ in self.deliver(world._replace(by_hand=True), n, request):
                    yield Move(f"by hand: {name}", after, False)

    def _renamed(self, txn: Transaction | None, order: tuple[int, ...]) -> Transaction | None:
        if txn is None or order == tuple(range(len(order))):
            return txn
        waiting = (new for new, old in zip(self.names, order, strict=True) if self.names[old] in txn.waiting)
        return replace(txn, waiting=tuple(waiting))
