"""A pool as a trace names it, and where to look for it."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from ....errors import WireError

_NAME: Final = re.compile(
    r"(?P<driver>\S+) (?:(?P<where>\S.*) )?pool"
    r" (?P<first>\d+)(?P<sign>[+-])(?P<second>\d+|unlimited)"
)
"""How the probes name pools: `asyncpg 127.0.0.1:5432/shop pool 5-10`, and 5+10 of SQLAlchemy."""

_ANY_SIZE: Final = ("NullPool", "StaticPool", "SingletonThreadPool", "AssertionPool")


class Named(NamedTuple):
    """What a pool's name says of it."""

    name: str
    driver: str
    where: str
    """`host:port/database`; empty where that was not known."""
    first: int
    """SQLAlchemy's `pool_size`, or the fewest connections."""
    second: int
    """SQLAlchemy's `max_overflow`, -1 without a limit; or the most connections."""
    has_overflow: bool
    """Whether it is one of SQLAlchemy's."""

    def leads_to(self, where: str) -> bool:
        """Whether it may be a pool that leads somewhere; who has no connection does not tell."""
        return not self.where or where in ("", self.where)

    def none_runs(self) -> WireError:
        """What is said where no such pool is found."""
        return WireError(f"No pool {self.name!r} runs in this process.")


def named(name: str) -> Named:
    """What a pool's name says.

    Raises:
        WireError: it names no pool that has a size.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        kind = name.rpartition(" ")[2]
        if kind in _ANY_SIZE:
            raise WireError(f"A {kind} has no size that could be changed.")
        raise WireError(f"{name!r} names no pool with a size.")
    second = -1 if found["second"] == "unlimited" else int(found["second"])
    where, has_overflow = found["where"] or "", found["sign"] == "+"
    return Named(name, found["driver"], where, int(found["first"]), second, has_overflow)


def living(*kinds: type) -> Iterator[Any]:
    """The objects of some classes, wherever the app keeps them."""
    # By type: what an object says of its class may be somebody's code.
    return (one for one in gc.get_objects() if issubclass(type(one), kinds))
