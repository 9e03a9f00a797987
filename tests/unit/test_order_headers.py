"""How long a customer wants to wait, and whether they want the journal: two headers, read leniently."""

import pytest

from services.order.api import LONGEST_WAIT_S, trace_of, wait_of

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=10", 10),
        ("wait=0", 0),
        ("WAIT=7", 7),
        ("wait = 7", 7),
        ('wait="7"', 7),
        ("respond-async, wait=10", 10),
        ("respond-async,wait=10", 10),
        ("wait=10, respond-async", 10),
        ("wait=10;foo=bar", 10),
        ("wait=10, wait=20", 10),
        ("wait=60", LONGEST_WAIT_S),
        ("wait=61", LONGEST_WAIT_S),
        ("wait=999999", LONGEST_WAIT_S),
        ("return=minimal", 0),
        ("wait", 0),
        ("wait=", 0),
        ("wait=soon", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=1e3", 0),
        ("wait=10s", 0),
        ("await=10", 0),
        ("no-wait=10", 0),
        ("waiting=10", 0),
        ('note="wait=10"', 0),
        ("wait=99999999999999999999", 0),
    ],
)
def test_how_long_a_customer_waits(prefer: str | None, seconds: int) -> None:
    assert wait_of(prefer) == seconds


@pytest.mark.parametrize(
    ("traceparent", "asks"),
    [
        (f"{TRACE}-01", True),
        (f"{TRACE}-03", True),
        (f"{TRACE}-ff", True),
        (f"{TRACE}-00", False),
        (f"{TRACE}-02", False),
        (f"cc{TRACE[2:]}-01-what-the-future-brings", True),
        (f"cc{TRACE[2:]}-00-what-the-future-brings", False),
        ("", False),
        ("01", False),
        (f"{TRACE}-1", False),
        (f"{TRACE}-0g", False),
        (f"{TRACE}-01x", False),
        (f"{TRACE[:-1]}-01", False),
        (f"{TRACE.upper()}-01", False),
        (f" {TRACE}-01", False),
        (f"{TRACE}-01\n", False),
    ],
)
def test_the_sampled_flag_asks_for_the_journal(traceparent: str, asks: bool) -> None:
    assert trace_of(traceparent)[1] is asks
