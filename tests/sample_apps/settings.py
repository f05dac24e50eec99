"""Where the sample apps find the servers that they use."""

import os
from dataclasses import dataclass

from sqlalchemy import URL, make_url


@dataclass(frozen=True, slots=True)
class Settings:
    """The addresses of the servers."""

    database_url: str
    """PostgreSQL, as `postgresql://...`."""
    stub_url: str
    """The HTTP service that all remote calls go to."""
    redis_url: str
    """Redis."""
    smtp_host: str
    """The host of the mail server."""
    smtp_port: int
    """The port of the mail server."""

    def sqlalchemy_url(self, driver: str) -> URL:
        """The database's address for SQLAlchemy with a driver."""
        return make_url(self.database_url).set(drivername=f"postgresql+{driver}")


def from_environment() -> Settings:
    """Reads the `SAMPLE_` variables."""
    return Settings(
        database_url=os.environ["SAMPLE_DATABASE_URL"],
        stub_url=os.environ["SAMPLE_STUB_URL"],
        redis_url=os.environ["SAMPLE_REDIS_URL"],
        smtp_host=os.environ["SAMPLE_SMTP_HOST"],
        smtp_port=int(os.environ["SAMPLE_SMTP_PORT"]),
    )
