"""The head of a report: what was looked at, on what, and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from rich.text import Text

from ..model.report import Machine, Report
from ..numbers import counted, number
from .lines import SEPARATOR, flow, one_line, sentence, shorten
from .page import MARGIN, Page

_LIBRARIES_COUNT: Final = 8


def head(report: Report, page: Page) -> Iterator[Text]:
    """The lines above the endpoints."""
    requests_count = sum(endpoint.requests_count for endpoint in report.endpoints)
    looked_at = [
        shorten(one_line(report.target), page.width // 2),
        _routes(report),
        counted(requests_count, "request"),
        counted(report.processes_count, "process", "processes"),
        moment(report.recorded or report.created),
    ]
    first = Text.assemble((f"unslow {report.unslow}", "bold"), SEPARATOR)
    yield from flow([item for item in looked_at if item], page.width, first=first, indent=MARGIN)
    machine = [*_database(report), *_machine(report.machine, page)]
    yield from flow(machine, page.width, indent=MARGIN)
    for note in report.notes:
        yield from sentence(note, page.width, first=Text("! ", "bold yellow"), indent=MARGIN)
    yield from _few(report, page)
    if not report.endpoints:
        yield Text()
        yield Text("No request was recorded.")


def _routes(report: Report) -> str:
    checked = report.checked
    if checked is None:
        return counted(len(report.endpoints), "route")
    operations = counted(checked.operations_count, "operation")
    writes = f", {checked.may_write_count} may write" if checked.may_write_count else ""
    return f"{operations}{writes}, {checked.counted_count} counted"


def _few(report: Report, page: Page) -> Iterator[Text]:
    """Says first of all where less than half of what there is was looked at."""
    checked = report.checked
    if checked is not None and checked.is_little:
        could_count = checked.operations_count - checked.may_write_count
        text = (
            f"Only {checked.counted_count} of {counted(could_count, 'operation')} that could be"
            " asked counted; the others stand at the end, with what was missing."
        )
        yield from sentence(text, page.width, first=Text("! ", "bold yellow"), indent=MARGIN)


def _database(report: Report) -> list[str]:
    checked = report.checked
    if checked is None or not checked.database_hosts:
        return []
    trip = report.round_trip_ms
    takes = f", round trip {number(trip)} ms" if trip else ""
    return [f"database on {', '.join(checked.database_hosts)}{takes}"]


def moment(created: str) -> str:
    """A moment of ISO 8601 to the minute, in UTC; as it is where it is none."""
    with suppress(ValueError):
        when = datetime.fromisoformat(created)
        return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when.tzinfo else created
    return created


def _machine(machine: Machine, page: Page) -> list[str]:
    cores = counted(machine.cores_count, "core")
    if machine.load_1min is not None:
        cores += f", load {number(machine.load_1min)}"
    libraries = [f"{name} {version}" for name, version in machine.libraries.items()]
    told = list(page.first(libraries, _LIBRARIES_COUNT))
    if len(told) < len(libraries):
        told.append(f"{len(libraries) - len(told)} more libraries")
    return [one_line(item) for item in (machine.system, cores, f"Python {machine.python}", *told)]
