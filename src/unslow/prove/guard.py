"""The read-only guard, up while fixes are tried, and what it could not be put up for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

from ..fixes.patches.patch import Subject
from .link import Link


class Guard:
    """Has the app's databases refuse to write for the length of the block."""

    def __init__(self, link: Link, subjects: Sequence[Subject]) -> None:
        self._link = link
        self._left: Mapping[str, str] = {}
        self._pools = frozenset(
            hold.pool for subject in subjects for trace in subject.traces for hold in trace.holds
        )

    def __enter__(self) -> Guard:
        self._left = self._link.guard(on=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left = self._link.guard(on=False)

    def sentences(self) -> Iterator[str]:
        """Which pools of what was tried are not guarded, and why: a sentence each."""
        for name, why in self._left.items():
            if any(one == name or one.startswith(f"{name} ") for one in self._pools):
                yield f"The read-only guard was not in force for {name}: {why}."
