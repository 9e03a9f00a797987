"""The participants of a simulated commit, and the network between everybody: durable state, virtual time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappush
from random import Random

from orchestrator.core import termination
from orchestrator.core.commit import (
    Event,
    Send,
    TimedOut,
    Transaction,
)
from orchestrator.core.exchange import (
    Abort,
    Acked,
    Answer,
    Commit,
    Prepare,
    Refusal,
    Request,
    Round,
    State,
    Voted,
)
from orchestrator.core.participant import Act, Verb
from orchestrator.core.termination import Termination
from tests.sim.commit_world import (
    PARTICIPANTS,
    Protocol,
    Site,
    agree,
    happen,
    keep_promises,
)
from tests.sim.shrinking import Picture

NAMES = PARTICIPANTS[:3]
MOST_EVENTS = 20_000
"""Far beyond the worst weather below: a schedule that comes here will not end."""

LATENCY_S = 0.2
"""At most, where silence has to mean death; so nothing is heard of the dead after this."""


@dataclass(frozen=True, slots=True)
class Weather:
    latency_s: float
    loss: float
    repeat: float
    crash: float
    failure: float  # of the work, so that PREPARE TRANSACTION says ROLLBACK
    takeovers: int
    deaths: int  # of participants

    @classmethod
    def draw(cls, dice: Random, calm: bool) -> "Weather":
        pick = dice.choice
        return cls(
            latency_s=0.05 if calm else pick((0.01, 0.01, 0.3, 2.0)),
            loss=0.0 if calm else pick((0.0, 0.0, 0.05, 0.3)),
            repeat=pick((0.0, 0.1, 0.5)),
            crash=pick((0.0, 0.0, 0.03, 0.1)),
            failure=pick((0.0, 0.0, 0.1)),
            takeovers=pick((0, 1, 2, 3)),
            deaths=pick((0, 0, 1, 2, 3)) if calm else 0,
        )


@dataclass(slots=True)
class Participant:
    """Durable: sites and goods. The rest is forgotten in a crash."""

    free: dict[str, int]
    sites: dict[str, Site] = field(default_factory=dict)
    down: bool = False
    was_down: set[str] = field(default_factory=set)  # for these transactions, after its vote
    own: dict[str, Termination] = field(default_factory=dict)
    life: int = 0


@dataclass(slots=True)
class Places:
    """Participants with what they keep, and everything that is still to happen."""

    dice: Random
    protocol: Protocol
    weather: Weather
    three: bool
    partition: bool
    wants: dict[str, tuple[str, ...]]  # the orders of each transaction
    goods: dict[str, str]  # what each order wants one of
    stock: dict[str, int]
    picture: Picture | None = None
    now: float = 0.0
    epoch: int = 1
    owners: dict[int, dict[str, Transaction]] = field(default_factory=dict)  # by epoch: those that live
    died: dict[int, float] = field(default_factory=dict)  # owners: when
    records: dict[str, Transaction] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    refused: dict[str, frozenset[str]] = field(default_factory=dict)
    caused: set[str] = field(default_factory=set)  # orders for which there was no stock
    apart: str = ""  # a participant that the network has cut off
    split: bool = False
    seen: set[str] = field(default_factory=set)
    events: int = 0
    places: dict[str, Participant] = field(default_factory=dict)
    _flying: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _count: int = 0

    # Participants.

    def _request(self, epoch: int, txn: str, to: str, request: Request) -> None:
        if to != self.apart:
            self._transmit(lambda: self._arrives(epoch, txn, to, request))

    def _arrives(self, epoch: int, txn: str, to: str, request: Request) -> None:
        place = self.places[to]
        if place.down or to == self.apart:
            return
        if self.picture:
            self.picture.arrow(self.now, "orchestrator", to, f"{txn} {type(request).__name__}")
        answer = self._do(txn, to, request)
        self._transmit(lambda: None if to == self.apart else self._hear(epoch, txn, answer))

    def _do(self, txn: str, name: str, request: Request) -> Answer:
        place = self.places[name]
        while isinstance(act := self.protocol.decide(self._site(txn, name).branch, request), Act):
            if act.verb is Verb.WORK:
                assert isinstance(request, Prepare)
                failed = self._work(txn, name, request)
                if failed is not None:
                    return failed
            orders = request.orders if isinstance(request, Prepare) else ()
            before = self._site(txn, name)
            after = happen(before, act, orders)
            assert after is not None, f"{act} is impossible on {before}"
            if act.verb is Verb.ROLLBACK:
                for order in before.orders:
                    place.free[self.goods[order]] += 1
            place.sites[txn] = after
            self._draw(name, f"{txn}: {act.verb}")
            if act.verb is Verb.WORK:
                self._watch(txn, name, act.round)
            self._check(txn)
        if isinstance(act, State):
            return Acked(name, request.round, act, recovering=txn in place.was_down)
        return Voted(name, request.round, act)

    def _work(self, txn: str, name: str, request: Prepare) -> Answer | None:
        """None: all is done. Goods that are in somebody's prepared transaction are locked."""
        place = self.places[name]
        wanted = [self.goods[order] for order in request.orders]
        locked = {
            self.goods[order] for other, site in place.sites.items() if site.branch.prepared
            for order in site.orders if other != txn
        }  # fmt: skip
        if locked.intersection(wanted) or self.dice.random() < self.weather.failure:
            return Voted(name, request.round, self.protocol.vote("ROLLBACK"))  # the tag; there is no error
        left, short = dict(place.free), []
        for order, item in zip(request.orders, wanted, strict=True):
            left[item] -= 1
            if left[item] < 0:
                short.append(Refusal(order, "out-of-stock"))
                left[item] += 1
        if short:
            self.caused.update(refusal.order for refusal in short)
            return Voted(name, request.round, "no", tuple(short))
        place.free = left
        return None

    def _watch(self, txn: str, name: str, round: Round) -> None:
        self._at(self.now + 1.0 + self.dice.random(), lambda: self._in_doubt(txn, name, round))

    def _in_doubt(self, txn: str, name: str, round: Round) -> None:
        place = self.places[name]
        if place.down or self._site(txn, name).branch.prepared != round:
            return
        self._watch(txn, name, round)
        if self.three:
            if txn not in place.own and self._is_silent(name, round.epoch):
                self.seen.add("participants went on alone")
                self._steps(txn, name, termination.begin(name, NAMES, round))
        elif self.epoch in self.owners:
            self.seen.add("a participant in doubt asked")
            running = self.owners[self.epoch].get(txn)
            said = self.protocol.verdict(running, round)
            if said is not State.WAITING:
                told = Commit(round) if said is State.COMMITTED else Abort(round)
                self._transmit(lambda: self._do(txn, name, told))

    def _is_silent(self, name: str, epoch: int) -> bool:
        """It is dead for so long that nothing of it is under way; or out of reach, which looks the same."""
        dead = epoch in self.died and self.now > self.died[epoch] + LATENCY_S
        return dead or name == self.apart

    def _steps(self, txn: str, name: str, turn: termination.Turn) -> None:
        place, (own, effects) = self.places[name], turn
        place.own[txn] = own
        for effect in effects:
            if isinstance(effect, Send):
                self._transmit(partial(self._peer, txn, name, effect.to, effect.request))
            else:
                ring = TimedOut(effect.token)
                self._at(self.now + 3 * LATENCY_S, partial(self._peer_hears, txn, name, place.life, ring))
        if own.ended:
            del place.own[txn]

    def _peer(self, txn: str, asker: str, to: str, request: Request) -> None:
        if self.places[to].down or (asker != to and self.apart in (asker, to)):
            return
        if self.picture:
            self.picture.arrow(self.now, asker, to, f"{txn} {type(request).__name__}")
        said, life = self._do(txn, to, request), self.places[asker].life
        assert isinstance(said, Acked)
        self._transmit(lambda: self._peer_hears(txn, asker, life, said))

    def _peer_hears(self, txn: str, name: str, life: int, event: termination.Event) -> None:
        place = self.places[name]
        if place.life == life and txn in place.own:
            self._steps(txn, name, self.protocol.terminate(place.own[txn], event))

    def _kill(self) -> None:
        name = self.dice.choice(NAMES)
        place = self.places[name]
        if not place.down:
            self.seen.add("a participant died")
            self._draw(name, "dies")
            place.down, place.own, place.life = True, {}, place.life + 1
            self._at(self.now + self.dice.choice((1.0, 20.0)), lambda: self._restart(name))

    def _restart(self, name: str) -> None:
        place = self.places[name]
        place.down = False
        self._draw(name, "is back")
        for txn, site in place.sites.items():
            if site.branch.prepared is not None:
                place.was_down.add(txn)
                self._watch(txn, name, site.branch.prepared)

    def _part(self) -> None:
        self.apart = self.dice.choice(NAMES)
        self._draw(self.apart, "is cut off")
        self._at(self.now + 30.0, self._heal)

    def _heal(self) -> None:
        self.apart = ""

    # The network, and what is looked at.

    def _transmit(self, arrives: Callable[[], object]) -> None:
        if self.dice.random() < self.weather.loss:
            self.seen.add("a lost message")
            return
        copies = 2 if self.dice.random() < self.weather.repeat else 1
        for _ in range(copies):
            late = self.dice.expovariate(1 / self.weather.latency_s)
            self._at(self.now + (min(late, LATENCY_S) if self.three else late), arrives)

    def _at(self, when: float, happens: Callable[[], object]) -> None:
        self._count += 1  # ties are settled by age
        heappush(self._flying, (when, self._count, happens))

    def _site(self, txn: str, name: str) -> Site:
        return self.places[name].sites.get(txn, Site())

    def _sites(self, txn: str) -> list[Site]:
        return [self._site(txn, name) for name in NAMES]

    def _check(self, txn: str) -> None:
        if self.partition:
            self.split |= not agree(self._sites(txn))
        else:
            keep_promises(self._sites(txn), self.refused.get(txn, frozenset()))

    def _draw(self, role: str, what: str) -> None:
        if self.picture:
            self.picture.event(self.now, role, what)

    def _draw_heard(self, txn: str, event: Event) -> None:
        if self.picture is None:
            return
        match event:
            case Voted(name, _, vote):
                self.picture.arrow(self.now, name, "orchestrator", f"{txn} votes {vote}")
            case Acked(name, _, state):
                self.picture.arrow(self.now, name, "orchestrator", f"{txn} is {state}")
            case _:
                self._draw("orchestrator", f"{txn}: {type(event).__name__}")

    def _hear(self, epoch: int, txn: str, event: Event) -> None:
        raise NotImplementedError
