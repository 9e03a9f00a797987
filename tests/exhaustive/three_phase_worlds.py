"""The worlds of one transaction under three-phase commit.

Participants and coordinators die at any moment and restart, or do not. Participants that miss their
coordinator finish among themselves. Messages are repeated and overtake one another.

Skeen assumes two things, and so do these worlds. A timer rings only for the silence of the dead. And when it
rings, nothing that the dead have sent is under way any more; as nobody does anything about a death before,
what has not arrived by then may as well be lost at once. With `partition` there is another kind of silence:
once and for good, the network parts some participants from the others and from every coordinator.
"""

from collections.abc import Iterator
from dataclasses import replace

from orchestrator.core import termination
from orchestrator.core.commit import Expired, Phase, Send, TimedOut, Transaction, token
from orchestrator.core.exchange import Acked, Request, Round, State
from orchestrator.core.participant import Act, Branch
from orchestrator.core.termination import Termination
from tests.exhaustive.commit_worlds import (
    CommitModel,
    Health,
    Owner,
    Said,
    Scope,
    Seat,
    World,
    answer,
    owned,
    sit,
    text,
    without,
)
from tests.exhaustive.explorer import Move
from tests.sim.commit_world import PARTICIPANTS, THREE_PHASE, Protocol, happen


class ThreePhaseModel(CommitModel):
    def __init__(self, scope: Scope, protocol: Protocol = THREE_PHASE) -> None:
        assert not scope.alike and not scope.paused, "they have numbers; and only the dead are overtaken"
        super().__init__(scope, protocol)

    def check(self, world: World) -> None:
        if not world.apart:
            super().check(world)

    def ended(self, world: World) -> bool:
        """With help, when all is over. Without, when nobody who never died is in doubt."""
        if self.scope.helped:
            return world.over
        return all(seat.site.branch.prepared is None for seat in world.seats if seat.health is Health.UP)

    def moves(self, world: World) -> Iterator[Move[World]]:
        for name, after, fair in self._moves(world):
            if after != world:
                yield Move(name, self._normal(after), fair)

    def _moves(self, world: World) -> Iterator[Move[World]]:
        for n, seat in enumerate(world.seats):
            if seat.health is Health.DOWN:
                if not self.scope.restarts:
                    continue
                yield Move(f"{self.names[n]} restarts", _restarted(world, n), self.scope.helped)
                continue
            if n not in world.apart:
                for request in sorted(seat.requests, key=text):
                    yield from self.deliver(world, n, request)
            for leader, verdict in sorted(seat.told, key=str):
                if (n in world.apart) == (leader in world.apart):
                    after, said = self._does(world, n, verdict)
                    told = f"{text(verdict)} from {self.names[leader]} → {self.names[n]}: {said}"
                    yield Move(told, after)
            yield from self._termination(world, n)
            if world.deaths < self.scope.deaths:
                yield Move(f"{self.names[n]} crashes", _crashed(world, n), False)
        for owner in world.owners:
            if owner.txn is not None:
                yield from self._coordinator(world, owner, owner.txn)
        if world.epoch < self.scope.epochs and not world.owners:
            yield self.take_over(world)._replace(fair=self.scope.helped)
        if self.scope.partition and not world.apart:
            for far in range(1, 2 ** len(self.names)):
                apart = frozenset(n for n in range(len(self.names)) if far >> n & 1)
                who = " and ".join(self.names[n] for n in sorted(apart))
                yield Move(f"the network parts {who} from the rest", world._replace(apart=apart), False)

    # A participant that misses its coordinator.

    def _termination(self, world: World, n: int) -> Iterator[Move[World]]:
        seat = world.seats[n]
        round = seat.site.branch.prepared
        if round is None:
            return
        if seat.own is None:
            alive = any(owner.epoch == round.epoch for owner in world.owners) and n not in world.apart
            if not alive:
                turn = termination.begin(self.names[n], self.names, round)
                yield Move(f"{self.names[n]} misses its coordinator", self._steps(world, n, turn))
            return
        if seat.own.ended:
            return
        if seat.reply is not None:
            turn = self.protocol.terminate(seat.own, seat.reply)
            yield Move(f"{self.names[n]} hears: {text(seat.reply)}", self._steps(world, n, turn))
            return
        living = [name for name in seat.own.waiting if self._reaches(world, n, self.names.index(name))]
        for name in living:
            yield self._asks(world, n, seat.own, self.names.index(name))
        if not living:
            turn = self.protocol.terminate(seat.own, TimedOut(termination.token(seat.own)))
            yield Move(f"{self.names[n]} waits no longer", self._steps(world, n, turn))

    def _asks(self, world: World, n: int, own: Termination, other: int) -> Move[World]:
        """One participant asks another. Only the last answer needs to be under way for a while.

        The others are only noted, and it makes no difference when.
        """
        request = world.seats[n].asking
        assert request is not None
        world, said = self._does(world, other, request)
        recovering = world.seats[other].health is Health.RECOVERING
        reply = Acked(self.names[other], own.round, said, recovering)
        told = f"{self.names[n]} asks {self.names[other]}, {text(request)}: {said}"
        if own.waiting == (self.names[other],):
            return Move(told, sit(world, n, world.seats[n]._replace(reply=reply)))
        return Move(told, self._steps(world, n, self.protocol.terminate(own, reply)))

    def _does(self, world: World, n: int, request: Request) -> tuple[World, State]:
        """That a participant dies between its acts is left to the coordinator's requests."""
        site = world.seats[n].site
        while isinstance(said := self.decide(site.branch, request), Act):
            changed = happen(site, said)
            assert changed is not None, "nobody else is at work here"
            site = changed
        assert isinstance(said, State)
        return sit(world, n, world.seats[n]._replace(site=site)), said

    def _reaches(self, world: World, n: int, other: int) -> bool:
        return world.seats[other].health is not Health.DOWN and (n in world.apart) == (other in world.apart)

    def _were_dead(self, world: World, waiting: tuple[str, ...]) -> bool:
        silent = (self.names.index(name) for name in waiting)
        return all(world.seats[n].health is not Health.UP or n in world.apart for n in silent)

    def _steps(self, world: World, n: int, turn: termination.Turn) -> World:
        own, effects = turn
        own = replace(own, attempt=1, heard=tuple(sorted(own.heard, key=str)))
        sent = [effect for effect in effects if isinstance(effect, Send)]
        seat = world.seats[n]._replace(own=own if own.waiting or own.ended else None, reply=None)
        world = sit(world, n, seat._replace(asking=sent[0].request) if sent else seat)
        for effect in sent if own.ended else ():
            other = self.names.index(effect.to)
            seat = world.seats[other]
            world = sit(world, other, seat._replace(told=seat.told | {(n, effect.request)}))
        return world

    # A coordinator.

    def _coordinator(self, world: World, owner: Owner, txn: Transaction) -> Iterator[Move[World]]:
        for n, seat in enumerate(world.seats):
            if n not in world.apart:
                for said in sorted(seat.answers, key=text):
                    yield from self.hear(world, txn, answer(self.names[n], said))
        if txn.phase is not Phase.PRECOMMITTING or self._were_dead(world, txn.waiting):
            yield from self.hear(world, txn, TimedOut(token(txn)))
        yield from self.hear(world, txn, Expired())
        if owner.epoch < self.scope.epochs or self.scope.deadly:
            gone = without(world, owner.epoch)
            seats = tuple(seat._replace(requests=frozenset()) for seat in gone.seats)
            yield Move(f"coordinator {owner.epoch} crashes", gone._replace(seats=seats), False)
        if txn.phase is Phase.ENDED and not txn.mixed:
            yield Move(
                "the record is forgotten", owned(world, Owner(owner.epoch, None))._replace(record=None)
            )

    def _normal(self, world: World) -> World:
        """Without what can change nothing any more, and what is on its way to the dead or from them."""
        return world._replace(seats=tuple(self._seen(world, n, seat) for n, seat in enumerate(world.seats)))

    def _seen(self, world: World, n: int, seat: Seat) -> Seat:
        if seat.health is Health.DOWN:
            return Seat(seat.site, health=Health.DOWN)
        name, branch = self.names[n], seat.site.branch
        known = [owner.txn for owner in world.owners if owner.txn and name in owner.txn.waiting]
        rounds = {txn.round for txn in known}
        answers = frozenset(said for said in seat.answers if said.round in rounds)
        requests = (r for r in seat.requests if self._matters(branch, r, answers, rounds))
        told = (t for t in seat.told if isinstance(self.decide(branch, t[1]), Act))
        if branch.prepared is None:
            return Seat(seat.site, frozenset(requests), answers, told=frozenset(told))
        return seat._replace(requests=frozenset(requests), answers=answers, told=frozenset(told))

    def _matters(
        self, branch: Branch, request: Request, answers: frozenset[Said], rounds: set[Round]
    ) -> bool:
        said = self.decide(branch, request)
        if isinstance(said, Act):
            return True
        return request.round in rounds and Said(request.round, said) not in answers


def _restarted(world: World, n: int) -> World:
    return sit(world, n, world.seats[n]._replace(health=Health.RECOVERING))


def _crashed(world: World, n: int) -> World:
    """What it has sent, and is not there yet, is lost."""
    seats = (
        seat._replace(
            told=frozenset((leader, request) for leader, request in seat.told if leader != n),
            reply=None if seat.reply and seat.reply.participant == PARTICIPANTS[n] else seat.reply,
        )
        for seat in world.seats
    )
    world = world._replace(seats=tuple(seats), deaths=world.deaths + 1)
    return sit(world, n, Seat(world.seats[n].site, health=Health.DOWN))
