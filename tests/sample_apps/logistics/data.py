"""The carrier's tables and rows."""

from ..filling import rebuild

DEPOTS_COUNT = 40
PARCELS_COUNT = 2000

SCRIPT = f"""
CREATE TABLE parcels (
    id int PRIMARY KEY, depot_id int NOT NULL, code text NOT NULL, grams int NOT NULL,
    state text NOT NULL);
CREATE TABLE depots (id int PRIMARY KEY, name text NOT NULL, city text NOT NULL);
CREATE TABLE claims (id serial PRIMARY KEY, parcel_id int NOT NULL, cents int NOT NULL);

INSERT INTO parcels
SELECT n, 1 + n % {DEPOTS_COUNT}, 'P' || n, 100 + n % 9000, (ARRAY['moving', 'there'])[1 + n % 2]
FROM generate_series(1, {PARCELS_COUNT}) n;
INSERT INTO depots SELECT n, 'Depot ' || n, 'City ' || n FROM generate_series(1, {DEPOTS_COUNT}) n;
"""


def prepare(database_url: str) -> None:
    """Makes the schema `logistics` anew."""
    rebuild(database_url, "logistics", SCRIPT)
