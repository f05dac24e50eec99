"""The forum's tables and rows."""

from ..filling import rebuild

BOARDS_COUNT = 60
MEMBERS_COUNT = 900
POSTS_COUNT = 30_000
THREADS_COUNT = 3000

SCRIPT = f"""
CREATE TABLE members (
    id int PRIMARY KEY, name text NOT NULL, token text UNIQUE, joined_on date NOT NULL,
    last_seen timestamptz);
CREATE TABLE boards (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE threads (
    id int PRIMARY KEY, board_id int NOT NULL, author_id int NOT NULL, title text NOT NULL);
CREATE TABLE posts (
    id serial PRIMARY KEY, thread_id int NOT NULL, author_id int NOT NULL, text text NOT NULL,
    written_at timestamptz NOT NULL);
CREATE TABLE watchers (thread_id int, member_id int, PRIMARY KEY (thread_id, member_id));
CREATE TABLE messages (
    id int PRIMARY KEY, receiver_id int NOT NULL, subject text NOT NULL, is_read bool NOT NULL);
CREATE TABLE tags (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE dumps (board_id int PRIMARY KEY, document text NOT NULL);

INSERT INTO members
SELECT n, 'Member ' || n, 'token-' || n, date '2020-01-01' + n
FROM generate_series(1, {MEMBERS_COUNT}) n;
INSERT INTO boards SELECT n, 'Board ' || n FROM generate_series(1, {BOARDS_COUNT}) n;
INSERT INTO threads
SELECT n, 1 + n % {BOARDS_COUNT}, 1 + n * 7 % {MEMBERS_COUNT},
       'How to ' || (ARRAY['paint', 'mend', 'build', 'sell'])[1 + n % 4] || ' thing ' || n
FROM generate_series(1, {THREADS_COUNT}) n;
INSERT INTO posts (thread_id, author_id, text, written_at)
SELECT 1 + n % {THREADS_COUNT}, 1 + n * 11 % {MEMBERS_COUNT},
       'I tried number ' || n || ' and ' || md5(n::text) || ' came of it',
       timestamptz '2026-01-01' + n * interval '3 minutes'
FROM generate_series(1, {POSTS_COUNT}) n;
INSERT INTO watchers
SELECT 1 + n % {THREADS_COUNT}, 1 + n / {THREADS_COUNT}
FROM generate_series(1, {THREADS_COUNT * 30}) n;
INSERT INTO messages
SELECT n, 1 + n % {MEMBERS_COUNT}, 'Message ' || n, n % 3 = 0 FROM generate_series(1, 9000) n;
INSERT INTO tags SELECT n, 'tag-' || n FROM generate_series(1, 25) n;
INSERT INTO dumps
SELECT n, '[' || repeat('{{"id": ' || n || ', "text": "a line of the board, as it was"}}, ', 26000)
    || 'null]'
FROM generate_series(1, 4) n;

-- They stand for functions that look into what is not in a table.
CREATE FUNCTION standing(member_id int) RETURNS int LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(0.003); RETURN member_id % 100; END';
CREATE FUNCTION warmth(thread_id int) RETURNS int LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(0.003); RETURN thread_id % 40; END';

CREATE INDEX ON threads (board_id);
CREATE INDEX ON threads (author_id);
CREATE INDEX ON posts (thread_id, id);
CREATE INDEX ON posts (author_id);
CREATE INDEX ON messages (receiver_id);
"""


def prepare(database_url: str) -> None:
    """Makes the schema `forum` anew."""
    rebuild(database_url, "forum", SCRIPT)
