"""A participant's worker: batches of commands in, effects and answers committed together.

A batch costs one transaction: the inbox says which commands are new, the handlers run those, and the
effects, the inbox rows and the outgoing answers commit as one. What fails is narrowed down by halves
until the poison message stands alone; that one is put aside as a dead letter and its neighbours go on.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import asyncpg
import structlog
from msgspec import Struct

from services.runtime import dead_letters, fencing, inbox
from services.runtime.bus import Record
from services.runtime.database import insist
from services.runtime.dead_letters import DeadLetter
from services.runtime.envelope import Envelope, Malformed, decode, open_as, seal
from services.runtime.ids import is_uuid
from services.runtime.inbox import Answer, Answers
from services.runtime.outbox import Outbox, Transaction

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Command:
    """One step to run for `subject`; `message` is what its type promised."""

    record: Record
    envelope: Envelope
    message: Struct

    @property
    def subject(self) -> str:
        return self.envelope.subject

    @property
    def age_s(self) -> float:
        return time.time() - self.envelope.time.timestamp()

    @property
    def step(self) -> inbox.Step:
        return inbox.Step(self.envelope.subject, self.envelope.step, self.envelope.undoes)


BRIEFLY = "SET LOCAL lock_timeout = '50ms'"
"""Once a wave has met a row that stays locked: its halves find out whose it is."""


class Locked(Exception):
    """Somebody else keeps a row that this needs, perhaps for as long as a transaction is in doubt."""


Handler = Callable[[Transaction, Sequence[Command]], Awaitable[Sequence[Answer]]]
"""Runs commands of one type, subjects all different; one answer each, in the same order."""

Guard = Callable[[Sequence[Command]], AbstractAsyncContextManager[Mapping[str, int]]]
"""What to hold while a wave runs: yields fencing numbers, which the wave's transaction checks."""

Lock = Callable[[Transaction, Sequence[Command]], Awaitable[None]]
"""Locks, in one order, every row that these commands of several types are going to change."""


async def lock_nothing(tx: Transaction, commands: Sequence[Command]) -> None:
    pass


@asynccontextmanager
async def unguarded(commands: Sequence[Command]) -> AsyncIterator[Mapping[str, int]]:
    yield {}


class Worker:
    """Runs the commands of one participant. Every public promise of this module is `handle`'s."""

    def __init__(
        self,
        name: str,
        outbox: Outbox,
        handlers: Mapping[type[Struct], Handler],
        *,
        answers_topic: str,
        dead_letter_topic: str,
        guard: Guard = unguarded,
        lock: Lock = lock_nothing,
        good_for_s: float | None = None,
    ) -> None:
        self._name = name
        self._outbox = outbox
        self._handlers = handlers
        self._kinds = {kind.__name__: kind for kind in handlers}
        self._answers_topic = answers_topic
        self._dead_letter_topic = dead_letter_topic
        self._guard = guard
        self._lock = lock
        self._good_for_s = good_for_s

    async def handle(self, records: Sequence[Record]) -> None:
        """Returns when every record has taken effect, had done so before, or lies among the dead letters; or,
        where all are asked again and so are good for `good_for_s` only, stays without an answer: a row of it
        is locked, and nobody else shall wait for that; or it is older, and what it did may be forgotten."""
        commands: list[Command] = []
        for record in records:
            try:
                commands.append(self._read(record))
            except Malformed as error:
                await self._bury(record, str(error))
        for wave in waves(commands):
            await self._narrow(wave)

    def _read(self, record: Record) -> Command:
        envelope = decode(record.value)
        kind = self._kinds.get(envelope.type)
        if kind is None:
            raise Malformed(f"{self._name} does not take {envelope.type!r}")
        if not envelope.step:
            raise Malformed("a command must say which step it runs")
        if not is_uuid(envelope.subject):
            raise Malformed(f"the subject {envelope.subject!r} is no UUID in its usual form")
        return Command(record, envelope, open_as(envelope, kind))

    async def _narrow(self, commands: Sequence[Command], *first: str) -> None:
        """Runs a wave, after what is said `first`; on a fault of its own, each half by itself."""
        try:
            await insist(partial(self._run, commands, first), also=(fencing.StaleHolder,))
        except Exception as error:  # a fault in a handler or in what it was given; AWAY never gets here
            if len(commands) > 1:
                half = len(commands) // 2
                await self._narrow(commands[:half], BRIEFLY)
                await self._narrow(commands[half:], BRIEFLY)
            elif isinstance(error, Locked):
                log.warning("left to be asked again", step=commands[0].step, error=str(error))
            else:
                log.exception("command failed", step=commands[0].step)
                await self._bury(commands[0].record, f"{type(error).__name__}: {error}", commands[0])

    async def _run(self, commands: Sequence[Command], first: Sequence[str]) -> None:
        try:
            async with self._guard(commands) as held, self._outbox.transaction() as tx:
                for statement in first:
                    await tx.sql.execute(statement)
                await self._decide(tx, commands, held)
        except asyncpg.LockNotAvailableError as error:
            if self._good_for_s is not None:
                raise Locked(str(error)) from None
            raise

    async def _decide(self, tx: Transaction, commands: Sequence[Command], held: Mapping[str, int]) -> None:
        await fencing.check(tx.sql, held)
        known = await inbox.recall(tx.sql, [command.step for command in commands])
        answers: dict[tuple[str, str], Answer] = {}
        fresh: list[Command] = []
        for command in commands:
            if self._is_too_old(command) and (command.subject, command.envelope.step) not in known:
                log.warning("too old to be acted on", step=command.step)
            elif settled := inbox.settle(command.step, known):
                answers.update(settled)
            else:
                fresh.append(command)
        kinds = _by_kind(fresh)
        if len(kinds) > 1:  # each handler locks in order, but one after the other is no order
            await self._lock(tx, fresh)
        for kind, group in kinds:
            given = await self._handlers[kind](tx, group)
            answers.update(
                ((c.subject, c.envelope.step), answer) for c, answer in zip(group, given, strict=True)
            )
        self._answer(tx, commands, answers, known)

    def _is_too_old(self, command: Command) -> bool:
        return self._good_for_s is not None and command.age_s > self._good_for_s

    def _answer(self, tx: Transaction, commands: Sequence[Command], answers: Answers, known: Answers) -> None:
        inbox.record(tx, {key: answer for key, answer in answers.items() if key not in known})
        for command in commands:
            if answer := answers.get((command.subject, command.envelope.step)):
                tx.put(self._answers_topic, self._reply(command, answer))

    def _reply(self, command: Command, answer: Answer) -> Envelope:
        return seal(
            answer,
            id=f"{command.envelope.id}/answer",
            source=self._name,
            subject=command.subject,
            cause=command.envelope,
            step=command.envelope.step,
        )

    async def _bury(self, record: Record, reason: str, command: Command | None = None) -> None:
        """A refusable command is refused for good, so that its saga can end; others are asked again."""
        await insist(partial(self._put_aside, record, reason, command))

    async def _put_aside(self, record: Record, reason: str, command: Command | None) -> None:
        letter = DeadLetter(record, reason)
        async with self._outbox.transaction() as tx:
            await dead_letters.bury(tx, [letter], topic=self._dead_letter_topic, source=self._name)
            if command and command.envelope.refusable:
                refusal = Answer("refused", "dead-letter", reason[:500])
                known = await inbox.recall(tx.sql, [command.step])
                key = command.subject, command.envelope.step
                self._answer(tx, [command], {key: known.get(key, refusal)}, known)


def waves(commands: Iterable[Command]) -> list[list[Command]]:
    """Cuts a batch so that no subject occurs twice in a wave and each subject's commands keep their order."""
    cut: list[list[Command]] = []
    turn: dict[str, int] = {}
    for command in commands:
        wave = turn.get(command.subject, 0)
        turn[command.subject] = wave + 1
        if wave == len(cut):
            cut.append([])
        cut[wave].append(command)
    return cut


def _by_kind(commands: Iterable[Command]) -> list[tuple[type[Struct], list[Command]]]:
    kinds: dict[type[Struct], list[Command]] = {}
    for command in commands:
        kinds.setdefault(type(command.message), []).append(command)
    return list(kinds.items())
