"""What lies about: holds, prepared transactions, unsent messages, dead letters, doubled keys, fences."""

from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from lab.audit import promises
from lab.audit.promises import Finding, time_of
from lab.databases import Connection, Databases

MOST = 1_000

HOLDS = """
select order_id, sku, quantity, created_at from holds
where state = 'held' and created_at < clock_timestamp() - $1::interval order by created_at limit $2
"""
PREPARED = """
select gid, prepared from pg_prepared_xacts
where database = current_database() and prepared < clock_timestamp() - $1::interval limit $2
"""
OUTBOX = """
select id, owner, created_at from outbox
where created_at < clock_timestamp() - $1::interval order by id limit $2
"""
DOUBLED = """
select request_id, count(*), (array_agg(order_id::text))[1:2] from orders
group by request_id having count(*) > 1 limit $1
"""
UNANSWERED = """
select k.id from idempotency k
where k.subject is null and k.status is null and k.created_at < clock_timestamp() - $1::interval limit $2
"""
STUCK = """
select order_id, status from orders
where order_id = any($1::uuid[]) and (
    status = 'PENDING' and created_at < clock_timestamp() - $2::interval
    or status = 'CANCELLING' and cancel_requested_at < clock_timestamp() - $2::interval)
"""
LETTERS = """
select topic, "partition", "offset", key, reason from dead_letters order by created_at desc limit $1
"""
EPOCHS = """
select shard::int, max(epoch), min(epoch)
from (select shard, epoch from sagas union all select shard, epoch from transactions) s group by shard
"""


async def overdue(databases: Databases, bound: timedelta) -> list[Finding]:
    """What should have gone away within the bound."""
    found: list[Finding] = []
    for order_id, sku, quantity, since in await databases["inventory"].fetch(HOLDS, bound, MOST):
        words = f"order {order_id} holds {quantity} of {sku} since {time_of(since)}"
        found.append(Finding(promises.LEFT, f"{order_id}/{sku}", words))
    for name, connection in databases.items():
        for gid, since in await connection.fetch(PREPARED, bound, MOST):
            words = f"transaction {gid!r} is prepared in {name} since {time_of(since)}, and keeps its locks"
            found.append(Finding(promises.LEFT, f"{name}/{gid}", words))
        for row_id, owner, since in await connection.fetch(OUTBOX, bound, MOST):
            words = f"outbox row {row_id} of {owner} in {name} is unsent since {time_of(since)}"
            found.append(Finding(promises.LEFT, f"{name}/outbox/{row_id}", words))
    return found


async def keys(order: Connection, bound: timedelta) -> list[Finding]:
    """Keys that placed two orders, and keys that neither placed one nor were answered."""
    found = []
    for request_id, count, orders in await order.fetch(DOUBLED, MOST):
        words = f"request {request_id} made {count} orders: {', '.join(orders)}"
        found.append(Finding(promises.KEYS, str(request_id), words))
    for (key_id,) in await order.fetch(UNANSWERED, bound, MOST):
        words = f"idempotency record {key_id} has neither an order nor an answer"
        found.append(Finding(promises.KEYS, str(key_id), words))
    return found


async def dead_letters(databases: Databases, bound: timedelta) -> list[Finding]:
    """Messages set aside twice, and orders that wait for one of them for ever."""
    places: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    reasons: dict[UUID, str] = {}
    for name, connection in databases.items():
        for topic, partition, offset, key, reason in await connection.fetch(LETTERS, 100 * MOST):
            places[topic, partition, offset].append(name)
            if order_id := _order_of(key):
                reasons[order_id] = reason
    found = [
        Finding(
            promises.DEAD,
            "/".join(map(str, place)),
            f"message {place} is a dead letter in {' and '.join(where)}",
        )
        for place, where in places.items()
        if len(where) > 1
    ]
    for order_id, status in await databases["order"].fetch(STUCK, list(reasons), bound):
        words = f"order {order_id} is {status} for ever, its message is a dead letter: {reasons[order_id]}"
        found.append(Finding(promises.DEAD, str(order_id), words))
    return found


def _order_of(key: str | bytes | None) -> UUID | None:
    text = key.decode(errors="replace") if isinstance(key, bytes) else key
    try:
        return UUID(text or "")
    except ValueError:
        return None


async def fence_numbers(databases: Databases) -> dict[tuple[str, str], int]:
    """The number of each fence, by database and name."""
    return {
        (name, fence): number
        for name, connection in databases.items()
        for fence, number in await connection.fetch("select name, number from fences")
    }


async def fences(databases: Databases, before: dict[tuple[str, str], int]) -> list[Finding]:
    """Fence numbers that are not positive or fell since `before`, and sagas written beyond their fence."""
    # Read before the fences: an epoch seen here was drawn from a fence seen later.
    epochs = {shard: (high, low) for shard, high, low in await databases["orchestrator"].fetch(EPOCHS)}
    now = await fence_numbers(databases)
    found: list[Finding] = []
    for (name, fence), number in now.items():
        earlier = before.get((name, fence), number)
        if number < 1 or number < earlier:
            words = f"fence {fence!r} in {name} is at {number}" + (
                f", after {earlier}" if number < earlier else ""
            )
            found.append(Finding(promises.FENCES, f"{name}/{fence}", words))
    for shard, (high, low) in epochs.items():
        number = now.get(("orchestrator", f"shard:{shard}"), high)
        if low < 1 or high > number:
            words = (
                f"shard {shard} has sagas written under epochs {low} to {high}, but its fence is at {number}"
            )
            found.append(Finding(promises.FENCES, f"shard:{shard}", words))
    return found
