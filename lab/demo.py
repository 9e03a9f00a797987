"""What `make demo` shows: an order's way, one undone, one that survives a crash, a cancellation, the audit.

Exits with 0 only if everything went as it says.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from rich.markup import escape
from rich.rule import Rule

from lab import demo_crash, demo_protocols, demo_split, orders, state
from lab.audit.run import audit_stack
from lab.audit.view import show as show_audit
from lab.bench import Options, measure
from lab.prepare import missing, seed_all, top_up
from lab.screen import out
from lab.seed import catalogue_has
from lab.shelf import POOR, PRODUCTS, RICH, fill
from lab.shop import Answer, Shop
from lab.state import Stack, Trouble
from lab.workload import Orders

BURST, IN_FLIGHT = 300, 32
JOURNAL_S = 5.0


class NotAsExpected(Exception):
    """The shop did something else than what the demo had announced."""


@dataclass(slots=True)
class Demo:
    """The acts, in order; each raises NotAsExpected when the shop does not play its part."""

    stack: Stack
    shop: Shop

    def catalogue(self) -> None:
        """A little shop"""
        fill(self.shop, self.shop)
        uvloop.run(catalogue_has(self.stack, [sku for sku, _, _ in PRODUCTS]))
        shelf = ", ".join(f"{name} {price / 100:.2f} EUR" for _, name, price in PRODUCTS)
        out.print(f"On the shelf: {shelf}. {RICH.title()} has money; {POOR.title()} has 5.00 EUR.")

    def confirmed(self) -> str:
        """An order goes through the saga"""
        out.print(
            "Alice orders two teapots. Stock is held and her card charged, in parallel; then the stock is"
        )
        out.print(
            "shipped and the order confirmed. Four services, four databases, no transaction spans two.\n"
        )
        answer = self._order(RICH, ("teapot", 2))
        self._expect(answer, orders.CONFIRMED, "confirmed")
        self._trace(answer.order_id)
        return answer.order_id

    def compensated(self) -> None:
        """An order that cannot be paid: what was done is undone"""
        out.print(
            "Bob orders a lamp that he cannot pay. Meanwhile it was put aside for him, so it is released"
        )
        out.print("again. A shop that forgets this loses a lamp with every customer who has no money.\n")
        before = self._stock("lamp")
        answer = self._order(POOR, ("lamp", 1))
        self._expect(answer, orders.REFUSED, "refused")
        if answer.problem != "insufficient-funds":
            raise NotAsExpected(f"Bob was refused for {answer.problem}, not for insufficient funds.")
        self._trace(answer.order_id)
        after = self._stock("lamp")
        out.print(
            f"Lamps on hand before: {before['on_hand']:,}, after: {after['on_hand']:,}, held: {after['held']}"
        )
        if before != after:
            raise NotAsExpected(f"Bob's order was refused, but the stock went from {before} to {after}.")

    def crash(self) -> None:
        """kill -9 in the middle of an order"""
        crash = demo_crash.crash(self.stack, self.shop, RICH, ("notebook", 3))
        if crash is None:
            raise NotAsExpected("The stack's processes cannot be found from here; are you who started it?")
        if not (
            crash.status == "CONFIRMED" or (crash.status == "REFUSED" and crash.reason == "deadline-exceeded")
        ):
            raise NotAsExpected(
                f"The order is {crash.status or 'unreadable'} {crash.reason} after the crash."
            )
        self._trace(crash.order_id, want="recovery")
        out.print(
            f"[green]{crash.status}[/], {crash.recovered_s:.1f} s after the crash. Nobody did anything."
        )
        if crash.status == "REFUSED":
            out.print(
                "The recovery took longer than an order may take, so it was undone: money and goods are back."
            )

    def protocols(self) -> None:
        """The same order under every protocol"""
        for protocol, answer, took_ms in demo_protocols.everywhere(self.shop, RICH, ("teapot", 1)):
            self._expect(answer, orders.CONFIRMED, "confirmed")
            out.print(f"{protocol:10} [green]CONFIRMED[/] in {took_ms:.0f} ms")
        out.print("By two-phase commit, its way was:")
        answer = self.shop.order(RICH, [("teapot", 1)], protocol="2pc", wait_s=30)
        self._expect(answer, orders.CONFIRMED, "confirmed")
        self._trace(answer.order_id)

    def doubt(self) -> None:
        """The coordinator goes away between the votes and the decision"""
        for protocol, blocks in (("2pc", True), ("3pc", False)):
            out.print(f"\n[bold]{protocol}[/]: Alice orders a lamp.")
            try:
                orphan = demo_protocols.orphaned(self.stack, self.shop, protocol, RICH, ("lamp", 1))
            except demo_protocols.NotInDoubt as surprise:
                raise NotAsExpected(str(surprise)) from None
            if orphan.blocked is not blocks:
                raise NotAsExpected(f"After {orphan.watched_s:.0f} s, {protocol} blocks: {orphan.blocked}.")
            if blocks:
                out.print(
                    f"For {orphan.watched_s:.0f} s nobody could decide, and everybody who wanted these rows"
                    " waited: two-phase commit [bold]blocks[/]."
                )
            else:
                out.print(
                    f"The participants finished by themselves after {orphan.watched_s:.1f} s (Skeen's"
                    " termination protocol): three-phase commit does not block."
                )
            status = demo_protocols.finished(self.shop, orphan.order_id)
            if status != "CONFIRMED":
                raise NotAsExpected(f"The order is {status}.")
            out.print("The coordinators are back, and the order is [green]CONFIRMED[/].")

    def split(self) -> None:
        """The network parts, and three-phase commit splits"""
        with demo_split.chaos():
            order_id = demo_split.split(self.stack, self.shop, RICH, ("lamp", 1))
        report = uvloop.run(audit_stack(self.stack, 30.0))
        words = [words for check in report.as_json()["checks"] for words in check["examples"]]
        out.print(f"The audit finds it: [red]{escape('; '.join(words) or 'nothing')}[/]")
        if report.violations != 1 or {finding.subject for finding in report.findings} != {order_id}:
            raise NotAsExpected(f"The audit should have found {order_id}, and found {report.as_json()}.")
        out.print("Alice was promised a lamp that nobody will charge or ship. So the shop cancels the order:")
        self._cancel(order_id)
        out.print("by three-phase commit again. Whoever had done its part undoes it; here nobody had to.")
        out.print(f"  the whole story: tradeoff trace {order_id}", style="dim")

    def cancelled(self, order_id: str) -> None:
        """Alice changes her mind: a second saga"""
        self._cancel(order_id)
        out.print("refunded, restocked, and then closed.")

    def _cancel(self, order_id: str) -> None:
        answer = self.shop.cancel(order_id)
        if answer.code not in (200, 202):
            raise NotAsExpected(f"The cancellation was answered with {answer.words()}")
        status = orders.await_end(self.shop, order_id, 30, until=frozenset({"CANCELLED"}))
        if status != "CANCELLED":
            raise NotAsExpected(f"The cancelled order is {status}.")
        out.print(f"{order_id} is [green]CANCELLED[/],")

    def burst(self) -> None:
        """A burst of orders"""
        if uvloop.run(missing(self.stack)):
            seed_all(self.stack)
        options = Options("saga", BURST, IN_FLIGHT)
        work = Orders(self.stack, "saga", BURST, skew=0, wait_s=30, seed=time.time_ns())
        uvloop.run(top_up(self.stack, work))
        result = uvloop.run(measure(self.stack, work, options))
        latency = result["latency_ms"]
        out.print(
            f"{BURST} orders, {IN_FLIGHT} in flight: [bold]{result['finished_per_s']:,.0f}[/] a second,"
            f" half of them within {latency['p50']:.0f} ms. (A short burst; tradeoff bench measures well.)"
        )
        if result["confirmed"] != BURST:
            counts = {name: result[name] for name in ("confirmed", "refused", "unfinished")}
            raise NotAsExpected(f"Of {BURST} orders that nothing stood in the way of: {counts}")

    def audit(self) -> None:
        """The audit"""
        out.print("Ten promises, checked from outside by a login that can only read:")
        report = uvloop.run(audit_stack(self.stack, 30.0))
        show_audit(report)
        if report.violations:
            raise NotAsExpected("The audit has found violations.")

    def _order(self, customer: str, *items: tuple[str, int]) -> Answer:
        answer = self.shop.order(customer, items, protocol="saga", wait_s=30)
        orders.show(answer)
        return answer

    def _expect(self, answer: Answer, code: int, word: str) -> None:
        if orders.outcome(answer) != code:
            raise NotAsExpected(f"The order should have been {word}.")

    def _stock(self, sku: str) -> dict[str, int]:
        product = self.shop.must(self.shop.call("GET", f"/products/{sku}")).body
        return {name: product[name] for name in ("on_hand", "held", "sold", "received")}

    def _trace(self, order_id: str, want: str = "state") -> None:
        """The last answers may still be on their way when the customer has his: waits for the saga's end."""
        deadline = time.monotonic() + JOURNAL_S
        while True:
            trace = self.shop.trace(order_id)
            entries = trace.body.get("entries", []) if trace.code == 200 else []
            if (
                any(str(entry["what"]).startswith("ended") for entry in entries)
                or time.monotonic() > deadline
            ):
                break
            time.sleep(0.1)
        orders.show_trace(self.shop.must(trace).body)
        if want not in {entry["kind"] for entry in entries}:
            raise NotAsExpected(f"The journal of {order_id} has no {want}.")


def play(stack: Stack) -> None:
    """All acts. The audit comes last, so that it sees everything that was done to the shop."""
    with Shop(stack) as shop:
        demo = Demo(stack, shop)
        _act(demo.catalogue)
        first = _act(demo.confirmed)
        _act(demo.compensated)
        _act(demo.crash)
        _act(demo.protocols)
        _act(demo.doubt)
        _act(demo.split)
        _act(demo.cancelled, first)
        _act(demo.burst)
        _act(demo.audit)
    _farewell(stack)


def _act(act: Callable[..., Any], *arguments: Any) -> Any:
    out.print()
    out.print(Rule(f"[bold]{act.__doc__}[/]", align="left", style="dim"))
    return act(*arguments)


def _farewell(stack: Stack) -> None:
    out.print()
    out.print(Rule("[bold]It goes on running[/]", align="left", style="dim"))
    lines = (
        ("the shop", f"{stack.public_url}/  (paths and documentation)"),
        ("a short name", f"alias tradeoff={Path(sys.executable).with_name('tradeoff')}"),
        ("order something", "tradeoff order --customer alice --item teapot=1"),
        ("see its way", "tradeoff trace ORDER"),
        ("check everything", "tradeoff audit"),
        ("measure", "tradeoff bench --profile"),
        ("look after it", "make status, make logs, make down, make clean"),
    )
    for name, what in lines:
        out.print(f"  {name:17} [bold]{what}[/]", soft_wrap=True)


def main() -> int:
    try:
        play(state.load())
    except NotAsExpected as surprise:
        out.print(f"\n[red]Not as expected:[/] {escape(str(surprise))}")
        return 1
    except Trouble as trouble:
        out.print(f"\n[red]{escape(str(trouble))}[/]")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
