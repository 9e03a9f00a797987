"""The table as a page of its own: no script, nothing fetched, light and dark, for a phone and for paper."""

from collections.abc import Iterable
from html import escape

from lab.crash.crash import Result
from lab.crash.rows import MODES
from lab.crash.table import Table
from lab.workload import PROTOCOLS

STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.good { color: var(--good); } td.bad { color: var(--bad); }
code { font-size: .85em; overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; } tr { break-inside: avoid; } }
"""

HEAD = (
    "protocol", "step", "mode", "lost", "#in doubt, s", "#recovered, s", "#orders", "#repeated", "outcome"
)  # fmt: skip


def page(table: Table) -> str:
    lost = len(table.failed)
    verdict = f"{lost} of {len(table.rows)} rows lost something." if lost else "No row lost anything."
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tradeoff: what dies, and what it costs</title><style>{STYLE}</style>
<h1>What dies, and what it costs</h1>
<p>In each row orders come in at a steady rate, and one process or server is lost once, at the step named.
Then every acknowledged order must end, nothing may stay prepared, and the audit must find nothing broken.</p>
<p><strong>{verdict}</strong> {len(table.rows)} rows, begun {escape(table.began)} on {escape(table.machine)}.
Again: <code>{escape(table.command)}</code></p>
<h2>By protocol</h2>
{_table(("protocol", "#rows", "#longest in doubt, s", "#slowest recovery, s", "where"), _summary(table))}
<h2>Every row</h2>
{_table(HEAD, map(_row, sorted(table.rows, key=_place)))}
</html>
"""


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    cells = "".join(
        f'<th class="n">{name[1:]}</th>' if name.startswith("#") else f"<th>{name}</th>" for name in head
    )
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _summary(table: Table) -> Iterable[str]:
    for protocol in PROTOCOLS:
        if mine := [result for result in table.rows if result.protocol == protocol]:
            slowest = max(mine, key=lambda result: result.recovery_s)
            yield _cells(
                protocol,
                len(mine),
                max(one.in_doubt_s for one in mine),
                slowest.recovery_s,
                _code(slowest.at),
            )


def _place(result: Result) -> tuple[int, str, int]:
    return PROTOCOLS.index(result.protocol), result.at, MODES.index(result.mode)


def _row(result: Result) -> str:
    told = "; ".join(result.wrong)
    outcome = (
        f'<td class="bad">{escape(told)}<br>{_code(result.row.command)}</td>'
        if told
        else f'<td class="good">{_well(result)}</td>'
    )
    return (
        _cells(
            result.protocol,
            _code(result.at),
            result.mode,
            result.lost,
            result.in_doubt_s,
            result.recovery_s,
            result.acknowledged,
            result.repeated,
        )
        + outcome
    )


def _well(result: Result) -> str:
    return f"{result.split} split, found by the audit and cancelled" if result.split else "nothing lost"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _cells(*values: str | float) -> str:
    return "".join(
        f"<td>{value}</td>" if isinstance(value, str) else f'<td class="n">{value:g}</td>' for value in values
    )
