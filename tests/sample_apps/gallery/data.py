"""The gallery's tables and rows."""

from ..filling import rebuild

ARTISTS_COUNT = 400
EXHIBITS_COUNT = 900
ROOMS_COUNT = 12
WORKS_COUNT = 2000

SCRIPT = f"""
CREATE TABLE artists (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL);
CREATE TABLE works (
    id int PRIMARY KEY, title text NOT NULL, year int NOT NULL, artist_id int NOT NULL,
    description text NOT NULL, provenance text NOT NULL, condition text NOT NULL,
    literature text NOT NULL, technique text NOT NULL, insured_cents bigint NOT NULL,
    height_mm int NOT NULL, width_mm int NOT NULL);
CREATE TABLE exhibits (
    id int PRIMARY KEY, title text NOT NULL, room_id int NOT NULL, place int NOT NULL);
CREATE TABLE rooms (id int PRIMARY KEY, plan jsonb NOT NULL);

INSERT INTO artists
SELECT n, 'Artist ' || n, 'Country ' || n % 30 FROM generate_series(1, {ARTISTS_COUNT}) n;
INSERT INTO works
SELECT n, 'Work ' || n, 1600 + n % 400, 1 + n % {ARTISTS_COUNT}, repeat('description ', 60),
       repeat('provenance ', 90), repeat('condition ', 50), repeat('literature ', 90),
       'oil on canvas', n * 1000, 300 + n % 900, 400 + n % 900
FROM generate_series(1, {WORKS_COUNT}) n;
INSERT INTO exhibits
SELECT n, (ARRAY['Vase', 'Chair', 'Mask', 'Coin', 'Lamp'])[1 + n % 5] || ' number ' || n,
       1 + n % {ROOMS_COUNT}, n % 40
FROM generate_series(1, {EXHIBITS_COUNT}) n;
INSERT INTO rooms
SELECT room, (
    SELECT jsonb_agg(jsonb_build_object('place', n, 'x', n * 3, 'y', n * 5, 'light', 'soft'))
    FROM generate_series(1, 2600) n)
FROM generate_series(1, {ROOMS_COUNT}) room;

CREATE INDEX ON works (artist_id);
CREATE INDEX ON exhibits (room_id);
"""


def prepare(database_url: str) -> None:
    """Makes the schema `gallery` anew."""
    rebuild(database_url, "gallery", SCRIPT)
