"""`tradeoff order` and `tradeoff trace`: one order, watched closely."""

import re
import time
from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from lab.diagram import LANE, ROLES, TIME, render
from lab.screen import out
from lab.shop import ENDED, Answer, Shop
from lab.state import Trouble

CONFIRMED, REFUSED, RUNNING = 0, 3, 4
OUTCOMES = {CONFIRMED: "confirmed", REFUSED: "refused", RUNNING: "running"}

_ITEM = re.compile(r"([^=\s]+)=([0-9]{1,9})")


def items(words: Sequence[str]) -> list[tuple[str, int]]:
    """SKU=N pairs as the command line gives them."""
    found = []
    for word in words:
        match = _ITEM.fullmatch(word)
        if not match:
            raise Trouble(f"--item {word!r} is not SKU=N, such as sku-000001=2")
        found.append((match[1], int(match[2])))
    if not found:
        raise Trouble("an order needs at least one --item SKU=N")
    return found


def outcome(answer: Answer) -> int:
    """The exit code that an answer to POST /orders stands for; Trouble when it is about the request."""
    if answer.code == 201 or answer.body.get("status") == "CONFIRMED":
        return CONFIRMED
    if answer.code in (200, 202):
        return RUNNING
    if answer.code == 409:
        return RUNNING if answer.problem == "request-in-progress" else REFUSED
    raise Trouble(f"The shop answered {answer.words()}")


def as_json(answer: Answer) -> dict[str, Any]:
    return {
        "order_id": answer.order_id,
        "outcome": OUTCOMES[outcome(answer)],
        "http_status": answer.code,
        "answer": answer.body,
    }


def show(answer: Answer) -> None:
    match outcome(answer):
        case 0:
            price = f"{answer.body.get('amount', 0) / 100:,.2f} {answer.body.get('currency', '')}"
            out.print(f"[green]CONFIRMED[/] {answer.order_id}, {price}")
        case 3:
            detail = escape(str(answer.body.get("detail") or ""))
            out.print(f"[red]REFUSED[/] {answer.order_id}: {answer.problem}: {detail}")
        case _:
            out.print(f"[yellow]still running[/] {answer.order_id}")
    out.print(f"  its way through the services: tradeoff trace {answer.order_id}", style="dim")


def show_trace(trace: dict[str, Any]) -> None:
    clock = 3 * len(ROLES) + 1
    out.print(
        render(trace, wide=out.width >= TIME + LANE * len(ROLES) + clock + 2), crop=False, soft_wrap=True
    )


def await_end(shop: Shop, order_id: str, within_s: float, *, until: frozenset[str] = ENDED) -> str:
    """Polls until the order's status is one of `until`; returns the last status seen."""
    deadline, status = time.monotonic() + within_s, ""
    pause = 0.02
    while status not in until and time.monotonic() < deadline:
        answer = shop.read(order_id)
        status = str(answer.body.get("status", "")) if answer.code == 200 else status
        if status not in until:
            time.sleep(pause)
            pause = min(0.5, pause * 1.5)
    return status
