"""What the bank is asked for."""

from collections.abc import Iterator
from itertools import chain

from ..call import Call, calls, spread
from .data import ACCOUNTS_COUNT, BRANCHES_COUNT, ENTRIES_COUNT

ACCOUNTS = spread(1, ACCOUNTS_COUNT)
BRANCHES = spread(1, BRANCHES_COUNT)
TRANSFERS = spread(1, 500)
SOME_COUNT = 16
MANY_COUNT = 60
"""More than a server has worker threads."""


def workload() -> list[Call]:
    """All requests."""
    return list(chain(_accounts(), _branches(), _transfers()))


def _accounts() -> Iterator[Call]:
    for name in ("balance", "saldo", "deposit", "entries", "receipts"):
        route = f"GET /accounts/{{account_id}}/{name}"
        yield from calls(route, account_id=ACCOUNTS)
        yield from calls(route, 4, account_id=ACCOUNTS, users_count=SOME_COUNT)
    yield from calls(
        "GET /accounts/{account_id}/plan",
        query="months={months}",
        account_id=ACCOUNTS,
        months=(600, 800, 1000),
    )
    entries = spread(1, ENTRIES_COUNT)
    yield from calls("GET /entries/{entry_id}", entry_id=entries)
    yield from calls("GET /entries/{entry_id}", 4, entry_id=entries, users_count=SOME_COUNT)


def _branches() -> Iterator[Call]:
    for name in ("", "/cash", "/city"):
        yield from calls(f"GET /branches/{{branch_id}}{name}", branch_id=BRANCHES)
    yield from calls(
        "GET /turnover/{year}",
        query="least_cents={cents}",
        year=(2023, 2024),
        cents=(0, 500, 1000),
    )


def _transfers() -> Iterator[Call]:
    for name in ("risk", "verdict", "warning"):
        route = f"GET /transfers/{{transfer_id}}/{name}"
        users_count = SOME_COUNT if name == "warning" else MANY_COUNT
        yield from calls(route, transfer_id=TRANSFERS)
        yield from calls(route, 4, transfer_id=TRANSFERS, users_count=users_count)
    for name in ("approval", "consent"):
        # The server looks at waiting clients ten times a second.
        yield from calls(f"GET /transfers/{{transfer_id}}/{name}", 12, transfer_id=TRANSFERS)
    for name in ("settle", "clear"):
        yield from calls(f"POST /transfers/{{transfer_id}}/{name}", transfer_id=TRANSFERS)
