"""A transaction under two- or three-phase commit, as a value: what is durable, what runs, what is under way.

And the moves that both protocols have: a coordinator hears something, dies, or takes over; a participant
gets a request. Attempts are projected out, as they only number the askings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from orchestrator.core.commit import (
    Ended,
    Event,
    Expired,
    Force,
    Phase,
    Refuse,
    RetryNow,
    Send,
    TimedOut,
    Transaction,
    Turn,
    token,
)
from orchestrator.core.exchange import Acked, Answer, Prepare, Refusal, Request, Round, State, Vote, Voted
from orchestrator.core.participant import Act, Verb
from orchestrator.core.termination import Termination
from tests.exhaustive.explorer import Move
from tests.sim.commit_world import PARTICIPANTS, Protocol, Site, all_is_over, happen, keep_promises, refuse


class Owner(NamedTuple):
    """A coordinator that runs. Of a transaction that has ended and been forgotten it knows nothing."""

    epoch: int
    txn: Transaction | None


class Said(NamedTuple):
    """An answer, without the name of who gave it."""

    round: Round
    what: Vote | State
    refusals: tuple[Refusal, ...] = ()


class Health(StrEnum):
    UP = "up"
    DOWN = "down"
    RECOVERING = "recovering"  # up, but was down after it had voted


class Seat(NamedTuple):
    """A participant, with all that coordinators have sent to it, and what it said to one that waits.

    The second half is of three-phase commit, where participants speak to one another.
    """

    site: Site = Site()
    requests: frozenset[Request] = frozenset()
    answers: frozenset[Said] = frozenset()
    health: Health = Health.UP
    own: Termination | None = None
    asking: Request | None = None  # those that `own` waits for
    reply: Acked | None = None  # to that, under way
    told: frozenset[tuple[int, Request]] = frozenset()  # the verdict, by another participant


class World(NamedTuple):
    record: Transaction | None  # the last that was forced; None when forgotten
    owners: tuple[Owner, ...]  # by epoch
    epoch: int  # the highest drawn
    seats: tuple[Seat, ...]
    refused: frozenset[str] = frozenset()
    by_hand: bool = False
    over: bool = False
    deaths: int = 0
    apart: frozenset[int] = frozenset()  # seats that the network has cut off from all else

    @property
    def sites(self) -> list[Site]:
        return [seat.site for seat in self.seats]


@dataclass(frozen=True, slots=True)
class Scope:
    """What can happen, so that the worlds are finite."""

    participants: int = 3
    orders: tuple[str, ...] = ("a",)
    refusable: frozenset[str] = frozenset("a")
    epochs: int = 2
    rounds: int = 1  # that an owner begins
    anew: bool = True  # also the owners after the first
    paused: bool = True  # an owner may be overtaken while it lives
    in_turn: bool = False
    busy: bool = True
    silence: bool = False  # the network may lose all it holds
    by_hand: bool = False  # an operator may resolve a participant
    deadly: bool = False  # the last owner may die as well, and then nobody takes over
    alike: bool = True
    deaths: int = 0  # of participants, altogether
    restarts: bool = True
    partition: bool = False  # the network may part, once
    helped: bool = False  # who is dead restarts, sooner or later


class CommitModel:
    def __init__(self, scope: Scope, protocol: Protocol) -> None:
        assert not (scope.alike and scope.in_turn), "whose turn it is tells them apart"
        self.scope = scope
        self.protocol = protocol
        self.names = PARTICIPANTS[: scope.participants]
        self.turn = cache(protocol.step)
        self.decide = cache(protocol.decide)

    def starts(self) -> list[World]:
        turn = self.protocol.begin(self.names, self.scope.orders, 1, self.scope.in_turn)
        return [self.carry_out(World(None, (), 1, (Seat(),) * len(self.names)), 1, turn)]

    def check(self, world: World) -> None:
        sites = world.sites
        keep_promises(sites, world.refused)
        if world.over:
            all_is_over(sites, self.scope.orders, world.refused)

    def ended(self, world: World) -> bool:
        return world.over

    def moves(self, world: World) -> Iterator[Move[World]]:
        raise NotImplementedError

    # A participant.

    def deliver(self, world: World, n: int, request: Request) -> Iterator[Move[World]]:
        told, site, acts = f"{text(request)} → {self.names[n]}", world.seats[n].site, 0
        orders = request.orders if isinstance(request, Prepare) else ()
        while isinstance(act := self.decide(site.branch, request), Act):
            if acts:
                yield Move(f"{told}, which dies half-way", at(world, n, site=site), False)
            if act.verb is Verb.WORK:
                yield from self.work_fails(world, n, act.round, orders)
            changed = happen(site, act, orders)
            assert changed is not None, "nobody else is at work here"
            site, acts = changed, acts + 1
        yield Move(f"{told}: {act}", says(at(world, n, site=site), n, Said(request.round, act)))

    def work_fails(
        self, world: World, n: int, round: Round, orders: tuple[str, ...]
    ) -> Iterator[Move[World]]:
        if self.scope.busy:
            vote = self.protocol.vote("ROLLBACK")  # the command tag; there is no error
            yield Move(f"{self.names[n]} fails: {vote}", says(world, n, Said(round, vote)), False)
        for order in orders:
            if order in self.scope.refusable:
                said = Said(round, "no", (Refusal(order, "refused"),))
                yield Move(f"{self.names[n]} refuses {order}", says(world, n, said), False)

    # The coordinators.

    def owner(self, world: World, owner: Owner, txn: Transaction) -> Iterator[Move[World]]:
        for n, seat in enumerate(world.seats):
            for said in sorted(seat.answers, key=text):
                yield from self.hear(world, txn, answer(self.names[n], said))
        yield from self.hear(world, txn, TimedOut(token(txn)))
        if owner.epoch == world.epoch:
            yield from self.hear(world, txn, Expired())
        if owner.epoch < self.scope.epochs or self.scope.deadly:
            yield Move(f"coordinator {owner.epoch} crashes", without(world, owner.epoch), False)
        if txn.phase is Phase.ENDED and owner.epoch == world.epoch and not txn.mixed:
            yield Move(
                "the record is forgotten", owned(world, Owner(owner.epoch, None))._replace(record=None)
            )

    def hear(self, world: World, txn: Transaction, event: Event) -> Iterator[Move[World]]:
        after, effects = self.turn(txn, event)
        rounds = self.scope.rounds if self.scope.anew or txn.epoch == 1 else 0
        if (after, effects) == (txn, ()) or after.round > (txn.epoch, rounds):
            return
        told = f"coordinator {txn.epoch} hears: {text(event)}"
        first = next((i for i, e in enumerate(effects) if isinstance(e, Force)), 0)
        if any(isinstance(effect, Send) for effect in effects[:first]):
            early = self.carry_out(world, txn.epoch, (txn, effects[:first]))
            yield Move(f"{told}, and crashes before its record", without(early, txn.epoch), False)
        yield Move(told, self.carry_out(world, txn.epoch, (after, effects)))

    def carry_out(self, world: World, epoch: int, turn: Turn) -> World:
        """What a driver does. A stale owner stops at the first record that it cannot write."""
        txn, effects = turn
        txn = replace(txn, attempt=min(txn.attempt, 1))
        unsaid: list[Refusal] = []
        for effect in effects:
            match effect:
                case Refuse(refusal):
                    unsaid.append(refusal)
                case Force() if not self.protocol.write_is_allowed(epoch, world.epoch):
                    return without(world, epoch)
                case Force():
                    for refusal in unsaid:
                        refuse(refusal, world.refused, self.scope.refusable, txn.expired)
                        world = world._replace(refused=world.refused | {refusal.order})
                    # Not what `resume` does not read:
                    record = replace(txn, waiting=(), attempt=0, lost=False, expired=False)
                    world, unsaid = world._replace(record=record), []
                case Send(to, request):
                    world = asked(world, self.names.index(to), request)
                case Ended():
                    world = world._replace(over=world.over or epoch == world.epoch)
        return owned(world, Owner(epoch, txn))

    def take_over(self, world: World) -> Move[World]:
        epoch = world.epoch + 1
        world = world._replace(epoch=epoch)
        if world.record is None:
            after = owned(world, Owner(epoch, None))
        else:
            after = self.carry_out(world, epoch, self.protocol.resume(world.record, epoch))
        return Move(f"coordinator {epoch} takes over", after)


@cache
def text(what: Request | Event | Said) -> str:
    match what:
        case Voted(name, _, vote):
            return f"{name} votes {vote}"
        case Acked(name, _, state):
            return f"{name} is {state}"
        case Said():
            return str(what)
        case TimedOut() | Expired() | RetryNow():
            return type(what).__name__
        case _:
            round = what.round
            return f"{type(what).__name__} {round.epoch}.{round.number}"


def answer(name: str, said: Said) -> Answer:
    if isinstance(said.what, State):
        return Acked(name, said.round, said.what)
    return Voted(name, said.round, said.what, said.refusals)


def at(world: World, n: int, site: Site) -> World:
    return sit(world, n, world.seats[n]._replace(site=site))


def says(world: World, n: int, said: Said) -> World:
    return sit(world, n, world.seats[n]._replace(answers=world.seats[n].answers | {said}))


def asked(world: World, n: int, request: Request) -> World:
    return sit(world, n, world.seats[n]._replace(requests=world.seats[n].requests | {request}))


def sit(world: World, n: int, seat: Seat) -> World:
    return world._replace(seats=(*world.seats[:n], seat, *world.seats[n + 1 :]))


def owned(world: World, owner: Owner) -> World:
    owners = (*(o for o in world.owners if o.epoch != owner.epoch), owner)
    return world._replace(owners=tuple(sorted(owners, key=lambda o: o.epoch)))


def without(world: World, epoch: int) -> World:
    return world._replace(owners=tuple(o for o in world.owners if o.epoch != epoch))
