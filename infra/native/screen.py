"""What the commands print."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path


def say(text: str) -> None:
    """At once, also into a pipe: progress is for those who wait."""
    print(text, flush=True)


def tail(file: Path, lines: int = 20) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            return "".join(deque(opened, lines)).rstrip() or "(it logged nothing)"
    except FileNotFoundError:
        return "(it logged nothing)"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
