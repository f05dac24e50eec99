"""The library's tables and rows."""

from ..filling import rebuild

AUTHORS_COUNT = 600
BOOKS_COUNT = 40_000
LOANS_COUNT = 4000
MEMBERS_COUNT = 800
SHELVES_COUNT = 200

SCRIPT = f"""
CREATE TABLE authors (id int PRIMARY KEY, name text NOT NULL, works int NOT NULL);
CREATE TABLE books (
    id int PRIMARY KEY, title text NOT NULL, author_id int NOT NULL, shelf text NOT NULL,
    language text NOT NULL, pages int NOT NULL);
CREATE TABLE members (
    id int PRIMARY KEY, name text NOT NULL, card text UNIQUE, joined_on date NOT NULL);
CREATE TABLE loans (
    id int PRIMARY KEY, book_id int NOT NULL, member_id int NOT NULL, due_on date NOT NULL,
    state text NOT NULL);
CREATE TABLE holds (
    id int PRIMARY KEY, book_id int NOT NULL, member_id int NOT NULL, place int NOT NULL);
CREATE TABLE fines (id serial PRIMARY KEY, loan_id int NOT NULL, cents int NOT NULL);
CREATE TABLE notices (id serial PRIMARY KEY, loan_id int NOT NULL, kind text NOT NULL);
CREATE TABLE exports (id int PRIMARY KEY, started_at timestamptz NOT NULL);
CREATE TABLE policies (name text PRIMARY KEY, value int NOT NULL);
CREATE TABLE opening_hours (day int PRIMARY KEY, opens time NOT NULL, closes time NOT NULL);

INSERT INTO authors
SELECT n, 'Author ' || n, n * 37 % 500 FROM generate_series(1, {AUTHORS_COUNT}) n;
INSERT INTO books
SELECT n, 'The ' || md5(n::text) || ' of ' || md5((n * 7)::text) || ', part ' || n % 9,
       1 + n % {AUTHORS_COUNT}, 'S' || n % {SHELVES_COUNT},
       (ARRAY['en', 'de', 'fr', 'es'])[1 + n % 4], 80 + n % 700
FROM generate_series(1, {BOOKS_COUNT}) n;
INSERT INTO members
SELECT n, 'Member ' || n, 'C' || n, date '2020-01-01' + n
FROM generate_series(1, {MEMBERS_COUNT}) n;
INSERT INTO loans
SELECT n, 1 + n * 7 % {BOOKS_COUNT}, 1 + n * 13 % {MEMBERS_COUNT}, date '2026-01-01' + n % 60,
       (ARRAY['open', 'open', 'returned'])[1 + n % 3]
FROM generate_series(1, {LOANS_COUNT}) n;
INSERT INTO holds
SELECT n, 1 + n % 500, 1 + n % {MEMBERS_COUNT}, 1 + n / 500 FROM generate_series(1, 2000) n;
INSERT INTO exports SELECT n, now() FROM generate_series(1, 40) n;
INSERT INTO policies SELECT 'loan_days', 28 UNION ALL SELECT 'loans_at_once', 12;
INSERT INTO opening_hours SELECT n, '09:00', '18:00' FROM generate_series(1, 6) n;

CREATE INDEX ON books (author_id);
CREATE INDEX ON books (shelf, id);
CREATE INDEX ON books (language, id);
CREATE INDEX ON loans (member_id);
CREATE INDEX ON loans (due_on, id);
CREATE INDEX ON holds (book_id);
CREATE INDEX ON holds (member_id);
CREATE INDEX ON fines (loan_id);
"""


def prepare(database_url: str) -> None:
    """Makes the schema `library` anew."""
    rebuild(database_url, "library", SCRIPT)
