"""What the payment service decides: who can pay, and which entries a transfer makes.

Double entry: every transfer is two entries that sum to zero. What a customer has and what we have
earned are on the credit side (+), the money that the bank holds for it on the debit side (-).
"""

from dataclasses import dataclass, replace

LARGEST_BALANCE = 10**17
"""Minor units: so that no sum of balances overflows a bigint."""


@dataclass(frozen=True, slots=True)
class Account:
    """A customer's account; `balance` in minor units of `currency`."""

    account_id: str
    currency: str
    balance: int


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transfer: + credits the account, - debits it."""

    account_id: str
    amount: int


def bank(currency: str) -> str:
    return f"bank:{currency}"


def revenue(currency: str) -> str:
    return f"revenue:{currency}"


def charge(account: Account | None, customer_id: str, amount: int, currency: str) -> Account | Refused:
    """The account after it has paid."""
    if account is None:
        return Refused("unknown-customer", f"there is no customer {customer_id}")
    if account.currency != currency:
        return Refused("currency-mismatch", f"the order is in {currency}, the account in {account.currency}")
    if account.balance < amount:
        return Refused("insufficient-funds", f"the account holds {account.balance}, the order costs {amount}")
    return replace(account, balance=account.balance - amount)


def charge_entries(customer_id: str, amount: int, currency: str) -> tuple[Entry, Entry]:
    return Entry(customer_id, -amount), Entry(revenue(currency), amount)


def refund_entries(customer_id: str, amount: int, currency: str) -> tuple[Entry, Entry]:
    return Entry(revenue(currency), -amount), Entry(customer_id, amount)


def deposit_entries(customer_id: str, amount: int, currency: str) -> tuple[Entry, Entry]:
    return Entry(bank(currency), -amount), Entry(customer_id, amount)
