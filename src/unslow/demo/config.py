"""What the app reads from its environment."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Config:
    """The addresses of the two services that the app stands on."""

    database_url: str
    stub_url: str


def from_environment() -> Config:
    """Reads UNSLOW_DEMO_DATABASE_URL (postgresql://...) and UNSLOW_DEMO_STUB_URL (http://...)."""
    return Config(
        database_url=_required("UNSLOW_DEMO_DATABASE_URL", "postgresql://postgres@127.0.0.1/demo"),
        stub_url=_required("UNSLOW_DEMO_STUB_URL", "http://127.0.0.1:8081"),
    )


def _required(name: str, example: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} is not set; the demo app wants an address such as {example}")
    return value
