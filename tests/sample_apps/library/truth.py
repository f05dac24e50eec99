"""What is wrong with the library's endpoints."""

from ..truth import Planted

PLANTED = (
    Planted("GET /authors/productive", "repeated-query", "catalogue.py", "books_by"),
    Planted("GET /shelves/{shelf}/books", "literal-in-sql", "catalogue.py", "books_on_shelf"),
    Planted("GET /books", "deep-offset", "catalogue.py", "page_of_books"),
    Planted("GET /search/titles", "slow-statement", "catalogue.py", "search_titles"),
    Planted("GET /loans/overdue", "repeated-query", "lending.py", "LoanBook.borrower"),
    Planted("POST /loans/extend", "repeated-query", "lending.py", "extend_loans"),
    Planted("GET /books/{book_id}/label", "literal-in-sql", "lending.py", "label_of_book"),
    Planted("GET /holds/{book_id}/queue", "duplicate-query", "lending.py", "policy"),
    Planted("GET /members/{member_id}/card", "blocking-call", "members.py", "Register.entry"),
    Planted("GET /kiosk/{member_id}", "connection-per-request", "members.py", "kiosk"),
)

ARGUABLE = (
    # What skips rows is also what takes the time.
    ("GET /books", "slow-statement"),
)

INNOCENT = (
    "GET /authors/counted",
    "GET /languages/{language}/books",
    "POST /books/some",
    "GET /books/{book_id}/trace",
    "GET /books/following",
    "GET /shelves/{shelf}/labels",
    "GET /opening-hours",
    "GET /loans/late",
    "GET /loans/open",
    "POST /loans/prolong",
    "POST /loans/states",
    "GET /loans/export",
    "GET /loans/histogram",
    "POST /returns/{loan_id}",
    "POST /holds/{hold_id}/take",
    "GET /members/{member_id}/badge",
    "GET /members/{member_id}/pass",
    "GET /members/{member_id}/overview",
    "POST /members/{member_id}/renew",
    "POST /exports/{export_id}",
)
