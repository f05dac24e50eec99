"""The bank's tables and rows."""

from ..filling import rebuild

ACCOUNTS_COUNT = 1000
BRANCHES_COUNT = 40
ENTRIES_COUNT = 40_000

SCRIPT = f"""
CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL, branch_id int NOT NULL);
CREATE TABLE branches (id int PRIMARY KEY, name text NOT NULL, city text NOT NULL);
CREATE TABLE entries (
    id serial PRIMARY KEY, account_id int NOT NULL, cents int NOT NULL, booked_on date NOT NULL,
    purpose text NOT NULL);
CREATE TABLE transfers (id int PRIMARY KEY, account_id int NOT NULL, state text NOT NULL);

INSERT INTO accounts
SELECT n, 'Owner ' || n, 1 + n % {BRANCHES_COUNT} FROM generate_series(1, {ACCOUNTS_COUNT}) n;
INSERT INTO branches
SELECT n, 'Branch ' || n, 'City ' || n FROM generate_series(1, {BRANCHES_COUNT}) n;
INSERT INTO entries (account_id, cents, booked_on, purpose)
SELECT 1 + n % {ACCOUNTS_COUNT}, n * 37 % 9000 - 4000, date '2023-01-01' + n % 1000,
       'Payment ' || n * 7
FROM generate_series(1, {ENTRIES_COUNT}) n;
INSERT INTO transfers SELECT n, 1 + n, 'new' FROM generate_series(1, 500) n;

-- They stand for functions that look into what is not in a table.
CREATE FUNCTION interest(account_id int) RETURNS int LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(0.003); RETURN account_id % 90; END';
CREATE FUNCTION standing(account_id int) RETURNS int LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(0.003); RETURN account_id % 7; END';

CREATE INDEX ON entries (account_id, id);
CREATE INDEX ON entries (booked_on);
"""


def prepare(database_url: str) -> None:
    """Makes the schema `ledger` anew."""
    rebuild(database_url, "ledger", SCRIPT)
