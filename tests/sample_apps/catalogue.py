"""All sample apps."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from .call import Call
from .truth import Planted, Truth, expected

NAMES = (
    "clinic",
    "forum",
    "gallery",
    "ledger",
    "library",
    "logistics",
    "newsroom",
    "school",
    "shop",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample app, without its code: nothing of it is imported before it is served."""

    name: str
    """The name of its folder and of its PostgreSQL schema."""
    target: str
    """What a server is given, `MODULE:APP`; the `SAMPLE_` variables must be set when it starts."""
    folder: Path
    """Where its sources are."""
    prepare: Callable[[str], None]
    """Makes its tables in the database of an address, from the beginning."""
    workload: Callable[[], list[Call]]
    """The requests that it is asked for."""
    planted: tuple[Planted, ...]
    """The mistakes of its endpoints."""
    arguable: tuple[tuple[str, str], ...]
    """Operation and rule of what counts neither way when it is found."""
    innocent: tuple[str, ...]
    """Method and route of the endpoints without a mistake."""

    def truths(self) -> tuple[Truth, ...]:
        """The mistakes, with their lines."""
        return expected(self.folder, self.planted)


def sample(name: str) -> Sample:
    """One sample app by its name."""
    package = f"{__package__}.{name}"
    data = import_module(f"{package}.data")
    truth = import_module(f"{package}.truth")
    workload = import_module(f"{package}.workload")
    return Sample(
        name,
        f"{package}.app:app",
        Path(__file__).parent / name,
        data.prepare,
        workload.workload,
        truth.PLANTED,
        truth.ARGUABLE,
        truth.INNOCENT,
    )


def all_samples() -> tuple[Sample, ...]:
    """Every sample app."""
    return tuple(map(sample, NAMES))
