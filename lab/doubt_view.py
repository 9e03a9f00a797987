"""How `tradeoff doubt`, `retry` and `resolve` show what they have heard."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from lab.screen import out


def show(told: dict[str, Any]) -> None:
    """What is in doubt, who holds what, and whom that blocks."""
    for transaction in told["transactions"]:
        _show(transaction)
    if not told["transactions"]:
        out.print("Nothing is in doubt.")
    for stranger in told["strangers"]:
        _show_stranger(stranger)
    if hidden := told["in_doubt"] - len(told["transactions"]):
        out.print(f"… and {hidden:,} more.")
    for name in told["silent"]:
        out.print(f"[yellow]{name} does not answer: what it holds is not shown.[/]")


def _show(transaction: dict[str, Any]) -> None:
    age = f"in doubt for {transaction['in_doubt_s']:.1f} s"
    if transaction["orphan"]:
        out.print(f"[bold]{transaction['transaction_id']}[/]: {age}; no coordinator knows it")
    else:
        decision = transaction["decision"] or "undecided"
        told = f"{transaction['protocol']}, {transaction['phase']}, {decision}, {age}"
        out.print(f"[bold]{transaction['transaction_id']}[/]: {told}")
        out.print(f"  orders {', '.join(transaction['orders'])}")
        if transaction["wants"]:
            out.print(escape(f"  it wants {', '.join(transaction['wants'])}"))
    table = Table(box=None, padding=(0, 2))
    for column in ("participant", "state", "prepared", "locks rows of", "blocks"):
        table.add_column(column)
    for name, held in transaction["participants"].items():
        waiters = [f"{w['waits_s']:.1f} s: {_plain(w['statement'])[:60]}" for w in held["blocks"]]
        prepared, tables = f"{held['prepared_s']:.1f} s ago", ", ".join(held["tables"])
        table.add_row(name, held["state"], prepared, tables, escape("\n".join(waiters) or "nobody"))
    out.print(table)


def _show_stranger(stranger: dict[str, Any]) -> None:
    gid, where, age = _plain(stranger["gid"]), stranger["participant"], f"{stranger['prepared_s']:.1f} s"
    locks, blocked = ", ".join(stranger["tables"]) or "nothing", len(stranger["blocks"])
    told = f"at {where}, and not the shop's: prepared {age} ago, locks rows of {locks}, blocks {blocked}"
    out.print(f"[bold]{escape(gid)}[/]: {told}")
    out.print(f"  only you can know its end: COMMIT PREPARED or ROLLBACK PREPARED in the database of {where}")


def show_asked_again(told: dict[str, Any]) -> None:
    out.print(f"asked again: {', '.join(told['asked_again'])}")


def show_resolved(told: dict[str, Any]) -> None:
    for name, state in told["participants"].items():
        out.print(f"{name}: {state}")
    out.print("If the coordinator decides otherwise, the order is split: `tradeoff audit` will name it.")


def _plain(statement: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in statement).split())
