"""The four statements behind a picture; each gives one row per order id, sorted by it.

`{by:column}` marks where a look at a few orders narrows each table before anything is grouped.
"""

import re

# Why an effect is there and will not be repeated: a row in the inbox, for a step of a saga, or in the
# participant's record of commits, whose first of an order has bought and whose second has cancelled.
DID = """
        select subject, step, outcome from inbox {by:subject}
        union all
        select subject, 'commit.' || row_number() over (partition by subject), 'done'
        from (select unnest(subjects) as subject from branches where outcome = 'committed') b {by:subject}
"""

ORDER = """
select order_id, o.customer_id, o.status, o.reason, coalesce(o.amount, 0), o.request_id, o.created_at,
       o.ended_at, o.cancel_requested_at, o.cancelled_at, l.lines, l.total, i.steps,
       k.keys, k.key_id, k.key_status, k.names_order
from (select * from orders {by:order_id}) o
full join (
    select order_id, string_agg(sku || '=' || quantity, ',' order by sku collate "C") as lines,
           sum(price * quantity)::bigint as total
    from order_lines {by:order_id} group by order_id
) l using (order_id)
full join (
    select subject as order_id, string_agg(step || '=' || outcome, ',' order by step collate "C") as steps
    from ({did}) i group by subject
) i using (order_id)
full join (
    select subject as order_id, count(*) as keys, (array_agg(id))[1] as key_id, min(status) as key_status,
           bool_and(body is null or position(subject::text in body) > 0) as names_order
    from (select * from idempotency {by:subject}) k where subject is not null group by subject
) k using (order_id)
order by order_id
"""

PAYMENT = """
select order_id, t.charged, t.refunded, t.charged_from, t.refunded_to, i.steps
from (
    select t.transfer_id as order_id,
           max(t.amount) filter (where t.kind = 'charge') as charged,
           max(t.amount) filter (where t.kind = 'refund') as refunded,
           max(e.account_id) filter (where t.kind = 'charge' and e.amount < 0) as charged_from,
           max(e.account_id) filter (where t.kind = 'refund' and e.amount > 0) as refunded_to
    from (select * from transfers {by:transfer_id}) t left join entries e using (transfer_id, kind)
    where t.kind in ('charge', 'refund') group by t.transfer_id
) t
full join (
    select subject as order_id, string_agg(step || '=' || outcome, ',' order by step collate "C") as steps
    from ({did}) i group by subject
) i using (order_id)
order by order_id
"""

INVENTORY = """
select order_id, h.lines, h.states, i.steps
from (
    select order_id, string_agg(sku || '=' || quantity, ',' order by sku collate "C") as lines,
           string_agg(distinct state, ',') as states
    from holds {by:order_id} group by order_id
) h
full join (
    select subject as order_id, string_agg(step || '=' || outcome, ',' order by step collate "C") as steps
    from ({did}) i group by subject
) i using (order_id)
order by order_id
"""

# An order that was refused has left its transaction, whatever became of the others in it.
SAGAS = """
select order_id, array_agg(distinct shard::int),
       bool_or(running) filter (where kind = 'order'), min(outcome) filter (where kind = 'order'),
       bool_or(running) filter (where kind = 'cancel'), min(started_at) filter (where running),
       min(mixed) filter (where kind = 'order')
from (
    select order_id, kind, shard, running, outcome, started_at, null::text as mixed
    from sagas {by:order_id}
    union all
    select o.order_id, case o.kind when 'buy' then 'order' else o.kind end, t.shard, t.running,
           case when t.running then null
                when t.outcome = 'committed' and (t.state::jsonb -> 'orders') ? o.order_id::text
                then 'completed' else 'compensated' end,
           t.started_at,
           (select t.protocol || ':' || string_agg(name, ',') || ':' || t.transaction_id
            from jsonb_array_elements_text(t.state::jsonb -> 'mixed') as m (name)
            where t.protocol <> '2pc-group' or (t.state::jsonb -> 'orders') ? o.order_id::text)
    from (select * from transaction_orders {by:order_id}) o join transactions t using (transaction_id)
) s group by order_id order by order_id
"""

# What operators have decided by hand in one database, about these transactions, and what then was so. A
# process that died may have done it, and not lived to say so.
BY_HAND = """
select transaction_id::text, outcome, reason from heuristics
where transaction_id = any($1::uuid[]) and coalesce(found, outcome) = outcome order by id
"""


def narrowed(query: str, *, some: bool) -> str:
    """The query over all orders, or over those whose ids are its first parameter."""
    query = query.replace("{did}", DID)
    return re.sub(r"\{by:(\w+)\}", r"where \1 = any($1::uuid[])" if some else "", query)
