"""Tables in HTML, that scroll where they are wider than the page."""

from collections.abc import Iterable
from html import escape


def table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
