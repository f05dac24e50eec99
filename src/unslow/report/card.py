"""The head of a report: what was looked at, on what, and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from rich.text import Text

from ..model.report import Machine, Report
from .lines import SEPARATOR, flow, one_line, sentence, shorten
from .numbers import counted, number
from .page import MARGIN, Page

_LIBRARIES_COUNT: Final = 8


def head(report: Report, page: Page) -> Iterator[Text]:
    """The lines above the endpoints."""
    requests_count = sum(endpoint.requests_count for endpoint in report.endpoints)
    looked_at = [
        shorten(one_line(report.target), page.width // 2),
        counted(len(report.endpoints), "route"),
        counted(requests_count, "request"),
        counted(report.processes_count, "process", "processes"),
        _moment(report.recorded or report.created),
    ]
    first = Text.assemble((f"unslow {report.unslow}", "bold"), SEPARATOR)
    yield from flow([item for item in looked_at if item], page.width, first=first, indent=MARGIN)
    yield from flow(_machine(report.machine, page), page.width, indent=MARGIN)
    for note in report.notes:
        yield from sentence(note, page.width, first=Text("! ", "bold yellow"), indent=MARGIN)
    if not report.endpoints:
        yield Text()
        yield Text("No request was recorded.")


def _moment(created: str) -> str:
    with suppress(ValueError):
        moment = datetime.fromisoformat(created)
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment.tzinfo else created
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
