"""Who can pay, and that no transfer makes or loses money."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.payment.model import (
    Account,
    Refused,
    bank,
    charge,
    charge_entries,
    deposit_entries,
    refund_entries,
    revenue,
)

ANN = Account("ann", "EUR", 100)
AMOUNTS = st.integers(0, 10**15)


def test_whoever_has_enough_can_pay() -> None:
    assert charge(ANN, "ann", 60, "EUR") == Account("ann", "EUR", 40)


def test_the_last_cent_can_be_spent_and_not_one_more() -> None:
    assert charge(ANN, "ann", 100, "EUR") == Account("ann", "EUR", 0)
    assert charge(ANN, "ann", 101, "EUR") == Refused(
        "insufficient-funds", "the account holds 100, the order costs 101"
    )


def test_nothing_can_be_paid_even_from_an_empty_account() -> None:
    assert charge(Account("ann", "EUR", 0), "ann", 0, "EUR") == Account("ann", "EUR", 0)


def test_a_stranger_cannot_pay() -> None:
    assert charge(None, "bob", 1, "EUR") == Refused("unknown-customer", "there is no customer bob")


def test_money_of_another_currency_does_not_count() -> None:
    refused = charge(ANN, "ann", 1, "USD")
    assert isinstance(refused, Refused) and refused.reason == "currency-mismatch"


@given(AMOUNTS)
def test_the_entries_of_every_transfer_sum_to_zero(amount: int) -> None:
    for entries in (charge_entries, refund_entries, deposit_entries):
        assert sum(entry.amount for entry in entries("ann", amount, "EUR")) == 0


@given(AMOUNTS)
def test_a_refund_is_the_charge_taken_back(amount: int) -> None:
    both = (*charge_entries("ann", amount, "EUR"), *refund_entries("ann", amount, "EUR"))
    books = Counter[str]()
    for entry in both:
        books[entry.account_id] += entry.amount
    assert set(books) == {"ann", revenue("EUR")}
    assert not any(books.values())


@given(st.integers(0, 10**6), st.lists(st.tuples(st.sampled_from("cr"), st.integers(0, 10**6))))
def test_what_was_paid_in_is_what_customers_have_and_we_have_earned(
    deposit: int, wishes: list[tuple[str, int]]
) -> None:
    account = Account("ann", "EUR", deposit)
    entries = [*deposit_entries("ann", deposit, "EUR")]
    charged: list[int] = []
    for kind, amount in wishes:
        if kind == "c":
            after = charge(account, "ann", amount, "EUR")
            if isinstance(after, Account):
                account = after
                entries += charge_entries("ann", amount, "EUR")
                charged.append(amount)
        elif charged:
            amount = charged.pop()
            account = Account("ann", "EUR", account.balance + amount)
            entries += refund_entries("ann", amount, "EUR")
    books = Counter[str]()
    for entry in entries:
        books[entry.account_id] += entry.amount
    assert books["ann"] == account.balance >= 0
    assert books[revenue("EUR")] == sum(charged)
    assert -books[bank("EUR")] == deposit
