"""A saga as data: which steps, at whose place, in which order, and how each is undone."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction of one participant. Without `undo` it is retriable: asked until it is done."""

    name: str
    participant: str
    undo: str | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A saga as data. `on_refusal` is the last word of a compensated saga to the one who asked for it."""

    kind: str
    stages: tuple[tuple[Step, ...], ...]
    on_refusal: Step | None = None
    names: frozenset[str] = field(init=False, repr=False, compare=False)  # of all that is ever asked

    def __post_init__(self) -> None:
        """What a saga must be, to be able to end (compensatable, pivot, retriable: Mehrotra et al.,
        "A transaction model for multidatabase systems", ICDCS 1992)."""
        assert self.stages and all(self.stages), f"{self.kind}: a stage without steps would never end"
        names = [s.name for s in self.asked()]
        assert len(names) == len(set(names)), f"{self.kind}: two steps of one name in {names}"
        object.__setattr__(self, "names", frozenset(names))
        undoable = [[s.undo is not None for s in stage] for stage in self.stages]
        assert all(len(set(u)) == 1 for u in undoable), f"{self.kind}: some of a stage cannot be undone"
        before_pivot = [all(u) for u in undoable]
        assert before_pivot == sorted(before_pivot, reverse=True), f"{self.kind}: an undo after the pivot"
        assert any(before_pivot) == (self.on_refusal is not None), f"{self.kind}: on_refusal iff undoable"
        assert self.on_refusal is None or self.on_refusal.undo is None, f"{self.kind}: a rejection is final"

    def asked(self) -> tuple[Step, ...]:
        """All that participants may ever be asked: every step, every undo, and the rejection."""
        steps = [s for stage in self.stages for s in stage]
        undos = [Step(s.undo, s.participant) for s in steps if s.undo is not None]
        return (*steps, *undos, *([self.on_refusal] if self.on_refusal else []))

    def undoes(self) -> dict[str, str]:
        """For the name of each undo, the name of the step that it compensates."""
        return {s.undo: s.name for stage in self.stages for s in stage if s.undo is not None}

    def compensatable(self, stage: int) -> bool:
        return self.stages[stage][0].undo is not None  # __post_init__: all of a stage or none
