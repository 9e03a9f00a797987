"""What the commands have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.markup import escape

from lab.screen import err
from lab.state import Trouble

VIOLATED = 1
"""The exit code when something was lost, or a promise is broken."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]


@contextmanager
def troubles() -> Iterator[None]:
    """What the user can act on is said in one line, with exit code 2."""
    try:
        yield
    except Trouble as trouble:
        err.print(f"[red]{escape(str(trouble))}[/]")
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
