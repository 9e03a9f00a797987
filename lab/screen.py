"""Results go to stdout, progress and remarks to stderr; bars on a terminal, plain lines elsewhere."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_WIDTH = 120  # of what is piped or logged; Rich would squeeze it into 80
PLAIN_EVERY_S = 5.0

Advance = Callable[[int], None]


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else PLAIN_WIDTH)


out = _console(stderr=False)
err = _console(stderr=True)


def emit(value: Any) -> None:
    """The one thing that a command prints on stdout when asked for --json."""
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def tell(answer: Any, as_json: bool, show: Callable[[Any], None]) -> None:
    """The same answer for a program or for a reader."""
    (emit if as_json else show)(answer)


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """Yields a function to call with the amount done *so far*."""
    with _bar(title, total) if err.is_terminal else _lines(title, total) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: int) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Two repaints a second: the machine that paints is the machine that is measured.
    with Progress(*columns, console=err, refresh_per_second=2, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def _lines(title: str, total: int) -> Iterator[Advance]:
    begun = said = time.monotonic()

    def advance(done: int) -> None:
        nonlocal said
        if time.monotonic() - said >= PLAIN_EVERY_S:
            said = time.monotonic()
            err.print(f"{title}: {done:,} of {total:,}")

    yield advance
    if said > begun:  # what was quick needs no remark
        err.print(f"{title}: done in {time.monotonic() - begun:.1f} s")
