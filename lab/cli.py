"""The `tradeoff` command: to fill the shop, to order, to look inside, to audit and to measure."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer
import uvloop

from lab import bench_view, doubt_view, history, load, orders, past, state
from lab.anomalies import run as anomalies_run
from lab.anomalies import view as anomalies_view
from lab.audit import run as audit_run
from lab.audit import view as audit_view
from lab.bench import Options
from lab.bench import bench as run_bench
from lab.client import TRIES
from lab.compare.commands import compare_command
from lab.crash.commands import chaos_command, crash_command, soak_command
from lab.options import VIOLATED, Json, troubles
from lab.screen import emit, out, tell
from lab.seed import customer, seed, sku
from lab.shop import Operator, Shop
from lab.state import Trouble
from lab.workload import PRODUCTS, PROTOCOLS
from services.contract.commit import Protocol

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One shop, every way to commit an order: fill it, order, look inside, audit, measure.",
)


class Participant(StrEnum):
    """Of the contract. Typer takes no list of its Literal."""

    ORDER = "order"
    INVENTORY = "inventory"
    PAYMENT = "payment"


CLOSED = "At once. A closed loop: the next order starts when one is answered. 1024 fill the batches."
OPEN = "Orders a second. An open loop: they start on time, however slow the answers are."
ZIPF = "Favour for few products (Zipf): the k-th is wanted k**-SKEW times as often as the first. 0: none."
RECORD = "Write what is asked and what is answered to this file, a JSON line a request; see lab/history.py."
COMPARE = "What customers asked and were told, as `bench --history` wrote it: does it hold?"
TRIED = "How often a request without an answer is sent before its outcome counts as unknown."
MIX = "How they order, by turns."
FLOOR = "Measure also the floor: the same rows, written with no coordination."

ProtocolOption = Annotated[Literal["saga", Protocol], typer.Option(help="How the order is committed.")]


def some_skus(incomplete: str) -> list[str]:
    return [f"{sku(n)}=1" for n in range(1, 10) if sku(n).startswith(incomplete)]


def some_customers(incomplete: str) -> list[str]:
    return [customer(n) for n in range(1, 10) if customer(n).startswith(incomplete)]


@app.command("seed")
def seed_command(
    products: Annotated[int, typer.Option(min=0, max=999_999, help="How many products.")] = 1_000,
    customers: Annotated[int, typer.Option(min=0, max=999_999, help="How many customers.")] = 10_000,
    stock: Annotated[int, typer.Option(min=0, help="Pieces of each new product.")] = 1_000_000,
    balance: Annotated[int, typer.Option(min=0, help="Cents on each new account.")] = 100_000_000,
    price: Annotated[int | None, typer.Option(min=0, help="Cents; by default from the number.")] = None,
    json: Json = False,
) -> None:
    """Fill the shop with sku-000001… and customer-000001…; what is there already is left alone."""
    with troubles():
        result = seed(state.load(), products, customers, stock, balance, price)
    if json:
        made = {"created": result.products_created, "existing": result.products_existing}
        opened = {"created": result.customers_created, "existing": result.customers_existing}
        emit({"products": made, "customers": opened})
        return
    out.print(f"products:  {result.products_created:,} created, {result.products_existing:,} existing")
    out.print(f"customers: {result.customers_created:,} created, {result.customers_existing:,} existing")


@app.command("order")
def order_command(
    customer: Annotated[str, typer.Option(help="Who orders.", autocompletion=some_customers)],
    item: Annotated[list[str], typer.Option(help="SKU=N; repeat for more.", autocompletion=some_skus)],
    protocol: ProtocolOption = "saga",
    wait: Annotated[int, typer.Option(min=0, max=60, help="Seconds to wait for the outcome.")] = 10,
    key: Annotated[str | None, typer.Option(help="Idempotency-Key; by default a new one.")] = None,
    json: Json = False,
) -> None:
    """Place an order. Exit code 0: confirmed, 3: refused, 4: still running, 2: not an order."""
    with troubles():
        if key is not None and (not key.isascii() or not key.isprintable() or '"' in key or "\\" in key):
            raise Trouble("--key must be printable ASCII without quotes and backslashes")
        with Shop(state.load()) as shop:
            answer = shop.order(customer, orders.items(item), protocol=protocol, wait_s=wait, key=key)
        code = orders.outcome(answer)
        if json:
            emit(orders.as_json(answer))
        else:
            orders.show(answer)
    raise typer.Exit(code)


@app.command("trace")
def trace_command(order: Annotated[str, typer.Argument(help="The order's id.")], json: Json = False) -> None:
    """Show an order's way through the services: messages, states, timers, recoveries, in causal order."""
    with troubles(), Shop(state.load()) as shop:
        trace = shop.must(shop.trace(order)).body
        tell(trace, json, orders.show_trace)


@app.command("doubt")
def doubt_command(json: Json = False) -> None:
    """Show the transactions in doubt: how long, which locks each participant holds, and whom they block."""
    with troubles(), Operator(state.load()) as operator:
        told = operator.must(operator.in_doubt()).body
        tell(told, json, doubt_view.show)


@app.command("retry")
def retry_command(
    id: Annotated[str, typer.Argument(help="The order's id, or a transaction's.")], json: Json = False
) -> None:
    """Ask at once what is unanswered, instead of waiting for the timer."""
    with troubles(), Operator(state.load()) as operator:
        told = operator.must(operator.retry(id)).body
        tell(told, json, doubt_view.show_asked_again)


@app.command("resolve")
def resolve_command(
    transaction: Annotated[str, typer.Argument(help="The transaction's id, as `tradeoff doubt` shows it.")],
    outcome: Annotated[Literal["commit", "abort"], typer.Option(help="What becomes of it.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept with the decision.")],
    at: Annotated[list[Participant] | None, typer.Option(help="Where; by default where it is held.")] = None,
    json: Json = False,
) -> None:
    """Decide in the coordinator's place, and free the locks. A guess: it may yet decide otherwise."""
    with troubles(), Operator(state.load()) as operator:
        told = operator.must(operator.resolve(transaction, outcome, at or (), reason)).body
        tell(told, json, doubt_view.show_resolved)


@app.command("audit")
def audit_command(
    bound: Annotated[float, typer.Option(min=0, help="Seconds that an order may take.")] = 30.0,
    compared: Annotated[Path | None, typer.Option("--history", help=COMPARE)] = None,
    json: Json = False,
) -> None:
    """Check the ten promises from outside, over all four databases; with a history, six more.

    Exit code 0: clean, 1: violated, 2: it could not look.
    """
    with troubles():
        told = history.load(compared) if compared else None
        report = asyncio.run(audit_run.audit_stack(state.load(), bound, told))
    if json:
        emit(report.as_json())
    else:
        audit_view.show(report)
    raise typer.Exit(VIOLATED if report.violations else 0)


@app.command("bench")
def bench_command(
    protocol: ProtocolOption = "saga",
    orders: Annotated[int, typer.Option("--orders", min=1, max=10_000_000, help="How many.")] = 20_000,
    in_flight: Annotated[int, typer.Option(min=1, max=5_000, help=CLOSED)] = 1024,
    skew: Annotated[float, typer.Option(min=0, max=5, help=ZIPF)] = 0.0,
    products: Annotated[int, typer.Option(min=1, max=PRODUCTS, help="How many are bought.")] = PRODUCTS,
    rate: Annotated[float | None, typer.Option(min=0.1, help=OPEN)] = None,
    uniform: Annotated[bool, typer.Option(help="With --rate: evenly spaced, not Poisson.")] = False,
    wait: Annotated[int, typer.Option(min=0, max=60, help="Prefer: wait, in seconds.")] = 30,
    warm_up: Annotated[int | None, typer.Option(min=0, help="Orders before the clock starts.")] = None,
    floor: Annotated[bool, typer.Option(help=FLOOR)] = True,
    audit: Annotated[bool, typer.Option(help="Audit afterwards.")] = True,
    profile: Annotated[bool, typer.Option(help="Show where the CPU time of an order goes.")] = False,
    recorded: Annotated[Path | None, typer.Option("--history", help=RECORD)] = None,
    tries: Annotated[int, typer.Option(min=1, max=200, help=TRIED)] = TRIES,
    json: Json = False,
) -> None:
    """Measure rate, latency and cost, beside the floor; then audit. Exit code 1: violated or unfinished.

    The floor is what the same databases do with the same rows when nobody coordinates anything: for a saga
    in plain commits, for two- and three-phase commit in bare prepared transactions of as many orders.
    """
    options = Options(
        *(protocol, orders, in_flight, skew, products, rate, not uniform, wait, warm_up, floor, audit),
        history=recorded,
        tries=tries,
    )
    with troubles():
        result = run_bench(state.load(), options)
    if json:
        emit(result)
    else:
        bench_view.show(result, profile=profile)
    raise typer.Exit(VIOLATED if result["audit_violations"] or result["unfinished"] else 0)


@app.command("past")
def past_command(
    orders: Annotated[int, typer.Option("--orders", min=1, max=10**8, help="How many more.")] = 100_000,
) -> None:
    """Write orders of the past into the databases: does the next one cost the same in large tables? Measure.

    They are as sagas would have left them, and the audit finds nothing wrong with them.
    """
    with troubles():
        uvloop.run(past.write(state.load(), orders))


@app.command("anomalies")
def anomalies_command(
    protocol: ProtocolOption = "saga",
    orders: Annotated[int, typer.Option("--orders", min=10, max=100_000, help="How many.")] = 2_000,
    in_flight: Annotated[int, typer.Option(min=1, max=1_000, help="At once.")] = 64,
    seed: Annotated[int, typer.Option(help="Of who orders what.")] = 1,
    json: Json = False,
) -> None:
    """Count what a reader sees while orders run that he should not: dirty and fractured reads.

    A fifth of the orders has to be refused. Two readers judge the same looks at all three databases: a plain
    one, and one that leaves out what is prepared somewhere. Exit code 1: seen what the protocol excludes.
    """
    with troubles():
        result = anomalies_run.anomalies(state.load(), protocol, orders, in_flight, seed)
    tell(result, json, anomalies_view.show)
    raise typer.Exit(VIOLATED if result["violations"] or result["unfinished"] else 0)


@app.command("load")
def load_command(
    users: Annotated[int, typer.Option(min=1, max=10_000, help="How many customers at once.")] = 50,
    spawn_rate: Annotated[float, typer.Option(min=0.1, help="How many more of them each second.")] = 20.0,
    run_time: Annotated[str | None, typer.Option(help="60s, 5m, 1h30m; by default until Ctrl-C.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Without Locust's page.")] = False,
    protocols: Annotated[str, typer.Option(help=MIX)] = " ".join(PROTOCOLS),
) -> None:
    """Customers who browse, order, look and cancel, by Locust; when they have gone, an audit.

    Exit code 0: clean, 1: a request failed or a promise is broken, 2: it could not start.
    """
    with troubles():
        crowd = load.Crowd(users, spawn_rate, run_time, headless, load.chosen(protocols))
        raise typer.Exit(load.load(state.load(), crowd))


app.command("compare")(compare_command)
app.command("crash")(crash_command)
app.command("chaos")(chaos_command)
app.command("soak")(soak_command)


if __name__ == "__main__":
    app()
