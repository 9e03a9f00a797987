"""Bugs that somebody could write. Each is the real code but for one line."""

from dataclasses import dataclass, replace

from orchestrator.core import saga as core
from orchestrator.core.definition import Definition
from orchestrator.core.saga import Answered, Effect, Event, Expired, Phase, Saga, TimedOut, Turn
from tests.sim.world import UNDOES, Rules, Shop, happen, receive


def undoes_only_what_is_known_to_be_done(definition: Definition, saga: Saga, event: Event) -> Turn:
    after, effects = core.step(definition, saga, event)
    if saga.phase is Phase.FORWARD and after.phase is Phase.COMPENSATING:
        for undo in after.waiting:
            if UNDOES[undo] in saga.waiting:  # asked, and not answered
                after, _ = core.step(definition, after, Answered(undo, done=True))
        return after, core.resume(definition, after)
    return after, effects


def turns_back_when_a_step_is_refused_after_the_pivot(
    definition: Definition, saga: Saga, event: Event
) -> Turn:
    match event:
        case Answered(name, done=False) if saga.phase is Phase.FORWARD and name in saga.waiting:
            return core._compensate(definition, replace(saga, reason="refused"), name)
    return core.step(definition, saga, event)


def turns_back_when_the_deadline_passes_after_the_pivot(
    definition: Definition, saga: Saga, event: Event
) -> Turn:
    if isinstance(event, Expired) and saga.phase is Phase.FORWARD:
        return core._compensate(definition, replace(saga, reason=core.DEADLINE_EXCEEDED), None)
    return core.step(definition, saga, event)


def believes_any_timer(definition: Definition, saga: Saga, event: Event) -> Turn:
    if isinstance(event, TimedOut):
        event = TimedOut(core.token(saga))
    return core.step(definition, saga, event)


def gives_up_to_compensate(definition: Definition, saga: Saga, event: Event) -> Turn:
    if isinstance(event, TimedOut) and saga.phase is Phase.COMPENSATING and saga.attempt >= 3:
        return core._advance(definition, replace(saga, waiting=()))
    return core.step(definition, saga, event)


def takes_a_refused_undo_for_done(definition: Definition, saga: Saga, event: Event) -> Turn:
    if isinstance(event, Answered) and saga.phase is Phase.COMPENSATING:
        event = replace(event, done=True)
    return core.step(definition, saga, event)


def goes_on_after_the_first_answer(definition: Definition, saga: Saga, event: Event) -> Turn:
    if isinstance(event, Answered) and event.done and event.step in saga.waiting:
        saga = replace(saga, waiting=(event.step,))
    return core.step(definition, saga, event)


def hears_late_answers(definition: Definition, saga: Saga, event: Event) -> Turn:
    if isinstance(event, Answered) and saga.waiting and event.step not in saga.waiting:
        event = replace(event, step=saga.waiting[0])
    return core.step(definition, saga, event)


def never_turns_back(definition: Definition, saga: Saga, event: Event) -> Turn:
    """Safe, and wrong: it can only be seen by what is out of reach."""
    if isinstance(event, Expired) or (isinstance(event, Answered) and not event.done):
        return saga, ()
    return core.step(definition, saga, event)


def forgets_to_ask_one_again(definition: Definition, saga: Saga) -> tuple[Effect, ...]:
    return core.resume(definition, saga)[1:]


def forgets_the_timer(definition: Definition, saga: Saga) -> tuple[Effect, ...]:
    return core.resume(definition, saga)[:-1]


def leaves_no_tombstone(shop: Shop, step: str, vote: bool) -> tuple[Shop, bool]:
    after, done = receive(shop, step, vote)
    if step in UNDOES and shop.decided(UNDOES[step]) is None:
        after = replace(after, inbox=after.inbox - {(UNDOES[step], False)})
    return after, done


def has_no_inbox(shop: Shop, step: str, vote: bool) -> tuple[Shop, bool]:
    return (happen(shop, step) if vote else shop), vote


@dataclass(frozen=True, slots=True)
class Bug:
    rules: Rules
    caught_by: frozenset[str]  # "explorer", "simulator"

    @property
    def name(self) -> str:
        changed = {self.rules.step, self.rules.resume, self.rules.receive} - {core.step, core.resume, receive}
        return changed.pop().__name__


BOTH = frozenset({"explorer", "simulator"})
EXPLORER = frozenset({"explorer"})
SIMULATOR = frozenset({"simulator"})

BUGS = [
    Bug(Rules(step=undoes_only_what_is_known_to_be_done), BOTH),
    Bug(Rules(step=turns_back_when_a_step_is_refused_after_the_pivot), BOTH),
    Bug(Rules(step=turns_back_when_the_deadline_passes_after_the_pivot), BOTH),
    Bug(Rules(step=believes_any_timer), EXPLORER),
    Bug(Rules(step=gives_up_to_compensate), SIMULATOR),
    Bug(Rules(step=takes_a_refused_undo_for_done), BOTH),
    Bug(Rules(step=goes_on_after_the_first_answer), BOTH),
    Bug(Rules(step=hears_late_answers), BOTH),
    Bug(Rules(step=never_turns_back), BOTH),
    Bug(Rules(resume=forgets_to_ask_one_again), EXPLORER),
    Bug(Rules(resume=forgets_the_timer), BOTH),
    Bug(Rules(receive=leaves_no_tombstone), BOTH),
    Bug(Rules(receive=has_no_inbox), BOTH),
]
