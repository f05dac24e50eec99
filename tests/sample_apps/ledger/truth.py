"""What is wrong with the bank's endpoints."""

from ..truth import Planted

PLANTED = (
    Planted("GET /accounts/{account_id}/balance", "pool-wait", "accounts.py", "balance"),
    Planted("GET /accounts/{account_id}/deposit", "pool-wait", "accounts.py", "show_deposit"),
    Planted(
        "GET /accounts/{account_id}/entries", "pool-settings", "accounts.py", "EntryBook.newest"
    ),
    Planted("GET /entries/{entry_id}", "pool-settings", "accounts.py", "show_entry"),
    Planted("GET /branches/{branch_id}", "connection-per-request", "accounts.py", "show_branch"),
    Planted(
        "GET /branches/{branch_id}/cash", "connection-per-request", "accounts.py", "accounts_of"
    ),
    Planted("GET /turnover/{year}", "slow-statement", "accounts.py", "turnover"),
    Planted(
        "GET /transfers/{transfer_id}/approval",
        "held-connection",
        "transfers.py",
        "transfer_by_id",
        touched=("transfers.py", "approval"),
    ),
    Planted(
        "POST /transfers/{transfer_id}/settle",
        "held-connection",
        "transfers.py",
        "settle",
        touched=("transfers.py", "clearing_time"),
    ),
    Planted("GET /transfers/{transfer_id}/risk", "thread-starvation", "transfers.py", "show_risk"),
    Planted(
        "GET /transfers/{transfer_id}/verdict", "thread-starvation", "transfers.py", "show_verdict"
    ),
)

ARGUABLE = (
    # A pool is there, and yet each request opens a connection.
    ("GET /entries/{entry_id}", "connection-per-request"),
)

INNOCENT = (
    "GET /accounts/{account_id}/saldo",
    "GET /accounts/{account_id}/receipts",
    "GET /accounts/{account_id}/plan",
    "GET /branches/{branch_id}/city",
    "GET /transfers/{transfer_id}/consent",
    "POST /transfers/{transfer_id}/clear",
    "GET /transfers/{transfer_id}/warning",
)
