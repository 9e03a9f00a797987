"""An order's journal as a space-time diagram in text: a lifeline a role, time down, messages as arrows."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from rich.text import Text

ROLES = ("order", "orchestrator", "payment", "inventory")
LANE = 21  # columns a role: room for an arrow with the longest step's name on it
TIME = 17

MARKS = {"state": "●", "timer": "◷", "recovery": "↻", "late": "○", "received": "●", "sent": "●"}
STYLES = {"timer": "yellow", "recovery": "bold yellow", "late": "dim"}
WORDS = {"sent": "sends {}", "received": "hears {}", "late": "too late: {}"}

LEGEND = {
    "● sends": "not seen to arrive so far, or only as a repetition of what had arrived",
    "○": "came too late, or again, and changes nothing",
    "◷ timed-out": "no answer in time, so it is asked again",
    "◷ expired": "the deadline has passed, so the order is given up and what was done is undone",
    "↻": "a new owner goes on; the epoch is its fencing number, and a lower one is refused from now on",
}
AGAIN = "sent or read once more after a crash, by whoever found no note that it had been; counts once"


class Row(NamedTuple):
    """A line of the diagram before it is coloured."""

    time: str
    picture: str
    clock: str
    style: str


def diagram(entries: Sequence[dict[str, Any]]) -> list[Row]:
    """The rows, in the order of the entries, which is causal. A message is one row: where it arrives."""
    if not entries:
        return []
    zero = _ms(entries[0])
    origins = _origins(entries)
    heard = set(origins.values())
    rows = []
    nodes: dict[str, str] = {}
    for number, entry in enumerate(entries):
        if number in heard:
            continue  # drawn where it arrives
        at = f"{_ms(entry) - zero:8.1f}"
        if number in origins:
            send = entries[origins[number]]
            ends = ROLES.index(send["role"]), ROLES.index(entry["role"])
            picture = arrow(*ends, entry["what"], late=entry["kind"] == "late")
            at = f"{_ms(send) - zero:7.1f} →{at}"
        else:
            moved = nodes.get(entry["role"], entry["node"]) != entry["node"] or entry["kind"] == "recovery"
            picture = event(entry, entry["node"] if moved else "")
        nodes[entry["role"]] = entry["node"]
        rows.append(Row(at.rjust(TIME), picture, _clock(entry), _style(entry)))
    return rows


def _origins(entries: Sequence[dict[str, Any]]) -> dict[int, int]:
    """For each arrival its send, by place. Repetitions bear the same id, so the clocks decide: of the sends
    that happened before the arrival it is the last."""
    sends: dict[str, list[int]] = {}
    origins: dict[int, int] = {}
    for number, entry in enumerate(entries):
        id_, role = entry.get("message_id") or "", entry["role"]
        if not id_ or role not in ROLES:
            continue
        if entry["kind"] == "sent":
            sends.setdefault(id_, []).append(number)
        elif entry["kind"] in ("received", "late"):
            before = [
                n for n in sends.get(id_, ()) if entries[n]["role"] != role and _knew(entry, entries[n])
            ]
            if before:
                origins[number] = before[-1]
    return origins


def _knew(later: dict[str, Any], earlier: dict[str, Any]) -> bool:
    """Whether `earlier` happened before: its clock is less or equal in every component."""
    return all(later["clock"].get(role, 0) >= count for role, count in earlier["clock"].items())


def _ms(entry: dict[str, Any]) -> float:
    return datetime.fromisoformat(str(entry["at"])).timestamp() * 1000


def _clock(entry: dict[str, Any]) -> str:
    return " ".join(f"{entry['clock'].get(role, 0):2}" for role in ROLES)


def _style(entry: dict[str, Any]) -> str:
    what = str(entry["what"])
    if entry["kind"] == "late":
        return STYLES["late"]
    if "refused" in what or "compensat" in what:
        return "red"
    return STYLES.get(entry["kind"], "green" if what.startswith("ended: completed") else "")


def event(entry: dict[str, Any], node: str) -> str:
    """What happened inside a role, beside its lifeline."""
    lane = ROLES.index(entry["role"]) if entry["role"] in ROLES else 0
    words = WORDS.get(entry["kind"], "{}").format(entry["what"])
    return _draw(_at(lane), f"{MARKS.get(entry['kind'], '●')} {words}" + (f" ({node})" if node else ""))


def arrow(start: int, end: int, label: str, *, late: bool = False) -> str:
    """A message from one lifeline to another."""
    right_head, left_head = (MARKS["late"],) * 2 if late else "▶◀"
    left, right = sorted((_at(start), _at(end)))
    room = right - left - 4
    label = label if len(label) <= room else label[: room - 1] + "…"
    body = (
        f"─{label}".ljust(right - left - 2, "─") if start < end else f"{label}─".rjust(right - left - 2, "─")
    )
    return _draw(left, f"├{body}{right_head}│" if start < end else f"│{left_head}{body}┤")


def _at(lane: int) -> int:
    return lane * LANE + 1


def _draw(start: int, text: str) -> str:
    """`text` from column `start`, over the lifelines."""
    line = [" "] * (len(ROLES) * LANE + 1)
    for lane in range(len(ROLES)):
        line[_at(lane)] = "│"
    line[start : start + len(text)] = text
    return "".join(line).rstrip()


def render(trace: dict[str, Any], *, wide: bool) -> Text:
    """The whole picture; `wide` adds the vector clocks."""
    entries = trace["entries"]
    text = Text(no_wrap=True)
    text.append(f"order {trace['order_id']}: ")
    text.append(f"{trace['status']}\n", style="bold red" if trace["status"] == "REFUSED" else "bold green")
    if not entries:
        text.append(f"{trace.get('note', 'There is no journal.')}\n")
        return text
    width = len(ROLES) * LANE + 1
    heads = "".join(role.ljust(LANE) for role in ROLES)
    text.append(f"{'sent → arrived ms':>{TIME}} {heads} {'clock' if wide else ''}\n", style="bold")
    rows = diagram(entries)
    for row in rows:
        text.append(row.time, style="dim")
        text.append(f" {row.picture.ljust(width)}", style=row.style)
        text.append(f" {row.clock}\n" if wide else "\n", style="dim")
    for line in _legend(entries, rows):
        text.append(f"{line}\n", "dim")
    if wide:
        roles = ", ".join(ROLES)
        text.append(
            f"clock: how many events of {roles} had happened before, as far as this one can know\n", "dim"
        )
    return text


def _legend(entries: Sequence[dict[str, Any]], rows: Sequence[Row]) -> list[str]:
    """What is in this picture and does not explain itself."""
    lines = [f"{sign}: {means}" for sign, means in LEGEND.items() if any(sign in row.picture for row in rows)]
    arrived = Counter(e["message_id"] for e in entries if e["kind"] in ("received", "late"))
    again = {e["what"]: None for e in entries if e["message_id"] and arrived[e["message_id"]] > 1}
    return [*lines, f"{', '.join(again)}: {AGAIN}"] if again else lines
