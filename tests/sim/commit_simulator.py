"""One schedule of several transactions under two- or three-phase commit, drawn from a seed.

They want the same few goods, so they race for locks and run out of stock. What a database has saved
survives: records, branches, refusals, goods. Memory, timers and whatever is on its way do not. Under
two-phase commit the network loses, repeats and delays as it likes, and coordinators are overtaken alive.
Three-phase commit is given the network that it asks for, unless `partition` parts it.
"""

from dataclasses import dataclass
from functools import partial
from heapq import heappop
from random import Random

from orchestrator.core.backoff import DEADLINE_S, delay_s, rest_s
from orchestrator.core.commit import (
    Ended,
    Event,
    Expired,
    Force,
    Refuse,
    Rest,
    RetryNow,
    Send,
    TimedOut,
    Transaction,
    Turn,
    Wake,
)
from orchestrator.core.exchange import (
    Acked,
    Refusal,
    Voted,
)
from tests.sim.commit_places import MOST_EVENTS, NAMES, Participant, Places, Weather
from tests.sim.commit_world import (
    THREE_PHASE,
    TWO_PHASE,
    Protocol,
    all_is_over,
    refuse,
)
from tests.sim.shrinking import Picture
from tests.sim.world import insist


@dataclass(slots=True)
class Schedule(Places):
    def run(self) -> None:
        self.owners[1] = {}
        self.places = {name: Participant(dict(self.stock)) for name in NAMES}
        for txn in self.wants:
            self._at(self.dice.random() * 0.2, partial(self._start, txn))
            self._at(DEADLINE_S, partial(self._expire, txn))
        busy_s = 0.6 if self.three else 5.0  # while most is under way
        for _ in range(self.weather.takeovers):
            self._at(self.dice.random() * busy_s, self._overtake)
        for _ in range(self.weather.deaths):
            self._at(self.dice.random() * busy_s, self._kill)
        if self.partition:
            self._at(self.dice.random() * 0.5, self._part)
        while self._flying:
            self.now, _, happens = heappop(self._flying)
            self.events += 1
            insist(self.events < MOST_EVENTS, "never ends")
            happens()
        if not self.partition:
            self._audit()

    # Coordinators. What `Force` saves is saved by one assignment.

    def _start(self, txn: str) -> None:
        """The start is in Kafka until its record is durable."""
        if txn in self.records:
            return
        self._at(self.now + 1.0, lambda: self._start(txn))
        if self.epoch not in self.owners:
            return
        in_turn = self.dice.random() < 0.3
        self._carry_out(self.epoch, txn, self.protocol.begin(NAMES, self.wants[txn], self.epoch, in_turn))

    def _hear(self, epoch: int, txn: str, event: Event) -> None:
        running = self.owners.get(epoch, {}).get(txn)
        if running is None:
            return
        self._draw_heard(txn, event)
        if self._crashes():
            self.seen.add("a coordinator died before it heard")
            return self._die(epoch)
        turn = self.protocol.step(running, event)
        if isinstance(event, Voted | Acked) and turn == (running, ()):
            self.seen.add("an answer too late")
        self._carry_out(epoch, txn, turn)

    def _carry_out(self, epoch: int, txn: str, turn: Turn) -> None:
        after, effects = turn
        dies = len(effects) > 1 and self._crashes()
        last = self.dice.randrange(len(effects)) if dies else len(effects)
        self.owners[epoch][txn] = after
        unsaid: list[Refusal] = []
        for effect in effects[:last]:
            match effect:
                case Refuse(refusal):
                    unsaid.append(refusal)
                case Force():
                    if not self.protocol.write_is_allowed(epoch, self.epoch):
                        self.seen.add("a stale owner was refused its write")
                        del self.owners[epoch]
                        return
                    self._save(txn, after, unsaid)
                    unsaid = []
                case Send(to, request):
                    self._request(epoch, txn, to, request)
                case Wake(token, attempt):
                    self._ring(epoch, txn, token, delay_s(attempt, self.dice.random()))
                case Rest(token, attempt):
                    self.seen.add("a lost race")
                    self._ring(epoch, txn, token, rest_s(attempt, self.dice.random()))
                case Ended(outcome):
                    self._end(epoch, txn, outcome)
        if dies:
            self.seen.add("a coordinator died half-way")
            self._die(epoch)

    def _crashes(self) -> bool:
        """After a while the weather clears, or a schedule with bad luck would never end."""
        return self.dice.random() < self.weather.crash and self.now < 2 * DEADLINE_S

    def _save(self, txn: str, after: Transaction, refusals: list[Refusal]) -> None:
        self._draw("orchestrator", f"{txn}: {after.phase} is durable")
        for refusal in refusals:
            refused = self.refused.get(txn, frozenset())
            if not self.partition:
                refuse(refusal, refused, frozenset(self.caused), after.expired)
            self.refused[txn] = refused | {refusal.order}
        self.records[txn] = after

    def _end(self, epoch: int, txn: str, outcome: str) -> None:
        if epoch != self.epoch:
            return
        self.seen.add(f"ended {outcome}")
        if self.refused.get(txn) and outcome == "committed":
            self.seen.add("some refused, the rest committed")
        if not self.partition:
            all_is_over(self._sites(txn), self.wants[txn], self.refused.get(txn, frozenset()))
        self.forgotten.add(txn)
        del self.owners[epoch][txn]

    def _ring(self, epoch: int, txn: str, token: str, after_s: float) -> None:
        self._at(self.now + after_s, lambda: self._hear(epoch, txn, TimedOut(token)))

    def _expire(self, txn: str) -> None:
        """Each owner has a timer for it; a stale one stops at the latest here, as it cannot write."""
        for epoch in list(self.owners):
            self._hear(epoch, txn, Expired())
        if self.dice.random() < 0.2:
            self._hear(self.epoch, txn, RetryNow())
        if txn not in self.forgotten:
            self._at(self.now + 5.0, lambda: self._expire(txn))

    def _overtake(self) -> None:
        """Somebody believes the owner dead. Under two-phase commit it need not be."""
        if self.three:
            self._die(self.epoch)
        elif self.epoch in self.owners:
            self.seen.add("an owner was overtaken alive")
            self._take_over()

    def _die(self, epoch: int) -> None:
        if self.owners.pop(epoch, None) is not None:
            self._draw("orchestrator", f"epoch {epoch} dies")
            self.died[epoch] = self.now
            if epoch == self.epoch:
                self._at(self.now + self.dice.choice((0.5, 8.0)), lambda: self._succeed(epoch))

    def _succeed(self, epoch: int) -> None:
        if epoch == self.epoch:
            self._take_over()

    def _take_over(self) -> None:
        self.epoch += 1
        epoch = self.epoch
        self.owners[epoch] = {}
        self._draw("orchestrator", f"epoch {epoch} takes over")
        for txn, record in self.records.items():
            if txn not in self.forgotten and epoch in self.owners:
                self._carry_out(epoch, txn, self.protocol.resume(record, epoch))

    def _audit(self) -> None:
        insist(self.forgotten == set(self.wants), f"never ended: {set(self.wants) - self.forgotten}")
        for place in self.places.values():
            for item, count in self.stock.items():
                sold = sum(
                    self.goods[order] == item for site in place.sites.values() if site.branch.committed
                    for order in site.orders
                )  # fmt: skip
                insist(
                    place.free[item] + sold == count and place.free[item] >= 0, f"stock of {item} is wrong"
                )


def simulate(
    seed: int,
    protocol: Protocol | None = None,
    partition: bool = False,
    dice: Random | None = None,
    picture: Picture | None = None,
) -> Schedule:
    """By this seed, or by other dice."""
    dice = dice or Random(seed)
    three = protocol is not None and protocol.resume is THREE_PHASE.resume
    transactions = {}
    goods = {}
    for n in range(dice.choice((1, 2, 3, 5))):
        orders = tuple(f"t{n}.{i}" for i in range(dice.choice((1, 1, 3))))
        transactions[f"t{n}"] = orders
        goods.update({order: dice.choice(("tea", "cup", "pot", "jug")) for order in orders})
    stock = {item: dice.choice((0, 2, 10)) for item in ("tea", "cup", "pot", "jug")}
    weather = Weather.draw(dice, calm=three)
    schedule = Schedule(
        dice, protocol or TWO_PHASE, weather, three, partition, transactions, goods, stock, picture
    )
    schedule.run()
    return schedule
