"""One schedule of one saga, drawn from a seed: virtual clock, lossy network, crashing processes.

What a database has saved survives a crash: the saga with its unsent messages, the inbox with its
effects. Timers and whatever is on its way do not. The same seed always gives the same schedule.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Literal

from orchestrator.core import saga as core
from orchestrator.core.backoff import DEADLINE_S, delay_s
from orchestrator.core.definition import Definition
from orchestrator.core.journal import LogLine
from orchestrator.core.saga import (
    Answered,
    Ask,
    Effect,
    Event,
    Expired,
    Phase,
    RetryNow,
    Saga,
    TimedOut,
    Wake,
)
from orchestrator.core.sagas import CANCEL, ORDER
from tests.sim.shrinking import Picture
from tests.sim.world import REFUSABLE, UNDOES, Rules, Shop, Violation, before, check, insist, under_way

HORIZON_S = 24 * 3600.0
MOST_EVENTS = 5_000
"""Far beyond the worst weather below: a schedule that comes here will not end."""

PARTICIPANT = {step.name: step.participant for d in (ORDER, CANCEL) for step in d.asked()}
ORDER_ID = "o"


@dataclass(frozen=True, slots=True)
class Request:
    ask_id: str
    step: str


@dataclass(frozen=True, slots=True)
class Reply:
    answer: Answered
    ask_id: str
    peer: str
    peer_at: float


@dataclass(frozen=True, slots=True)
class Timer:
    ring: TimedOut
    life: int  # of the orchestrator that armed it


class Recovery:
    """Somebody takes over from the orchestrator that crashed."""


Item = Request | Reply | Timer | Expired | RetryNow | Recovery


@dataclass(frozen=True, slots=True)
class Weather:
    """Most days are fair, or nothing would be tested but retries."""

    latency_s: float
    loss: float
    repeat: float
    crash: float
    failure: float  # of a step that has to happen: "not now", to be asked again
    refusal: float
    outages: dict[str, tuple[float, float]]  # of participants: from, until

    @classmethod
    def draw(cls, dice: Random) -> "Weather":
        pick = dice.choice
        outages = {}
        if dice.random() < 0.2:
            start = dice.random() * 0.1
            outages[pick(("order", "payment", "inventory"))] = (start, start + pick((5.0, 40.0, 200.0)))
        return cls(
            latency_s=pick((0.01, 0.01, 0.5, 5.0)),
            loss=pick((0.0, 0.0, 0.05, 0.4)),
            repeat=pick((0.0, 0.1, 0.5)),
            crash=pick((0.0, 0.0, 0.05, 0.2)),
            failure=pick((0.0, 0.0, 0.3)),
            refusal=pick((0.0, 0.0, 0.1, 0.5)),
            outages=outages,
        )


@dataclass(slots=True)
class Schedule:
    definition: Definition
    rules: Rules
    dice: Random
    weather: Weather
    shop: Shop
    saga: Saga
    picture: Picture | None = None
    now: float = 0.0
    life: int = 1
    down: bool = False
    log: list[LogLine] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)  # for coverage: what this schedule has been through
    events: int = 0
    _flying: list[tuple[float, int, Item]] = field(default_factory=list)
    _count: int = 0

    def run(self) -> None:
        self.log.append(LogLine(0.0, "orchestrator-1", "start", peer="order-1", peer_at=-0.01))
        self._send(core.begin(self.definition)[1])
        for step in under_way(self.definition, self.shop):
            self._transmit(Request(f"{ORDER_ID}/{step}/1", step))
        self._at(DEADLINE_S, Expired())
        if self.dice.random() < 0.1:
            self._at(self.dice.random() * 100, RetryNow())
        while self._flying:
            self.now, _, item = heappop(self._flying)
            self.events += 1
            if self.events >= MOST_EVENTS or self.now >= HORIZON_S:
                raise Violation(f"never ends: {self.saga}")
            match item:
                case Request():
                    self._participant(item)
                case Recovery():
                    self._recover()
                case Timer(life=life) if life != self.life or self.down:
                    self.seen.add("a timer forgotten in a crash")
                case _:
                    self._orchestrator(item)
            check(self.definition, self.saga, self.shop)
        insist(self.saga.phase is Phase.ENDED, f"stuck: {self.saga}")
        self.seen.add(f"{self.definition.kind} {self.saga.outcome} {self.saga.reason}".strip())

    def _orchestrator(self, item: Reply | Timer | Expired | RetryNow) -> None:
        """What `orchestrator/driver.py` does, with one assignment in the place of its transaction."""
        if self.down:
            return self._at(self.now + 1.0, item)  # Kafka, or the timer's row, keeps it
        crashes = self.dice.random() < self.weather.crash and self.saga.phase is not Phase.ENDED
        if crashes and self.dice.random() < 0.5:
            self.seen.add("crash before the state was saved")
            self._at(self.now, item)
            return self._crash()
        self._draw_heard(item)
        event, line = _heard(item, self.now, self._node())
        was = self.saga
        self.saga, effects = self.rules.step(self.definition, was, event)
        self.log.append(line)
        if isinstance(item, Reply) and item.answer.step not in was.waiting:
            self.seen.add("an answer late or repeated")
        if crashes and self.saga.phase is not Phase.ENDED:
            self.seen.add("crash after the state was saved, before anything was sent")
            return self._crash()
        self._send(effects)

    def _draw_heard(self, item: Reply | Timer | Expired | RetryNow) -> None:
        if self.picture is None:
            return
        if isinstance(item, Reply):
            said = f"{item.answer.step} {'done' if item.answer.done else 'refused'}"
            self.picture.arrow(self.now, item.peer.partition("-")[0], "orchestrator", said)
        else:
            self._draw(f"{type(item).__name__} rings")

    def _draw(self, what: str) -> None:
        if self.picture:
            self.picture.event(self.now, "orchestrator", what)

    def _crash(self) -> None:
        self._draw("dies")
        self.down = True
        self._at(self.now + self.dice.choice((0.5, 10.0)), Recovery())

    def _recover(self) -> None:
        self.down = False
        self.life += 1
        self._draw(f"life {self.life} takes over")
        self.log.append(LogLine(self.now, self._node(), "recovered", note=f"epoch {self.life}"))
        self._send(self.rules.resume(self.definition, self.saga))

    def _participant(self, request: Request) -> None:
        start, until = self.weather.outages.get(PARTICIPANT[request.step], (0.0, 0.0))
        if start <= self.now < until:
            self.seen.add("a participant was down")
            return
        step = request.step
        if self.picture:
            self.picture.arrow(self.now, "orchestrator", PARTICIPANT[step], step)
        if step not in REFUSABLE and self.dice.random() < self.weather.failure:
            self.seen.add("a step that must happen failed for now")
            return self._reply(request, Answered(step, False, "not now"))
        decided, undo_first = self.shop.decided(step), self.shop.decided(UNDOES.get(step, "")) is None
        vote = step not in REFUSABLE or self.dice.random() >= self.weather.refusal
        self.shop, done = self.rules.receive(self.shop, step, vote)
        if step in UNDOES and decided is None and undo_first:
            self.seen.add("an undo before its step")
        if decided is not None:
            self.seen.add("a step asked again after it was decided")
        self._reply(request, Answered(step, done, "" if done else "refused"))

    def _reply(self, request: Request, answer: Answered) -> None:
        peer = f"{PARTICIPANT[request.step]}-{self.dice.randint(1, 2)}"
        self._transmit(Reply(answer, request.ask_id, peer, self.now))

    def _send(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case Ask(step, attempt):
                    self._transmit(Request(f"{ORDER_ID}/{step}/{attempt}", step))
                case Wake(token, attempt):
                    ring = self.now + delay_s(attempt, self.dice.random())
                    self._at(ring, Timer(TimedOut(token), self.life))

    def _transmit(self, message: Request | Reply) -> None:
        """Lost, once or twice; each copy at its own pace, so messages overtake one another."""
        if self.dice.random() < self.weather.loss:
            self.seen.add("a lost message")
            return
        self._at(self.now + self.dice.expovariate(1 / self.weather.latency_s), message)
        if self.dice.random() < self.weather.repeat:
            self.seen.add("a repeated message")
            self._at(self.now + self.dice.expovariate(1 / self.weather.latency_s), message)

    def _at(self, when: float, item: Item) -> None:
        self._count += 1  # ties are settled by age: items have no order of their own
        heappush(self._flying, (when, self._count, item))

    def _node(self) -> str:
        return f"orchestrator-{1 + (self.life - 1) % 2}"


def simulate(
    seed: int, rules: Rules | None = None, dice: Random | None = None, picture: Picture | None = None
) -> Schedule:
    """By this seed, or by other dice."""
    dice = dice or Random(seed)
    definition = CANCEL if dice.random() < 0.2 else ORDER
    saga, _ = core.begin(definition)
    shops = before(definition)
    shop = shops[seed % len(shops)]  # no dice: it would change what earlier seeds replay
    schedule = Schedule(definition, rules or Rules(), dice, Weather.draw(dice), shop, saga, picture)
    schedule.run()
    return schedule


def _heard(item: Reply | Timer | Expired | RetryNow, at: float, node: str) -> tuple[Event, LogLine]:
    kind: Literal["expired", "retry-now"]
    match item:
        case Reply(answer, ask_id, peer, peer_at):
            return answer, LogLine(
                at, node, "answered", answer.step, answer.done, answer.reason, answer.detail,
                peer, peer_at, note=ask_id,
            )  # fmt: skip
        case Timer(ring):
            return ring, LogLine(at, node, "timed-out", ring.token)
        case Expired() | RetryNow():
            kind = "expired" if isinstance(item, Expired) else "retry-now"
            return item, LogLine(at, node, kind)
