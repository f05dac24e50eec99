"""The pool, which the app opens when it starts."""

from unslow.fast import pool

from .settings import settings

db = pool(
    settings.database_url,
    name="blog",
    # Months in reports and times in exports are those of UTC, whatever the server is set to.
    server_settings={"timezone": "UTC"},
)
