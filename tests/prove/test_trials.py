"""All trials of a check: what is not tried and why, and the guard that is up meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from tests.prove.workload.serving import serving
from unslow.errors import WireError
from unslow.fixes.patches.patch import Subject
from unslow.model.finding import Finding
from unslow.model.proof import NOT_TRIED, Arm
from unslow.model.proof_codec import Tried
from unslow.model.trace import Hold, Place, Statement, Trace
from unslow.model.workload import Request
from unslow.prove.link import Fared, Link, Samples
from unslow.prove.trials import Stage, Trials
from unslow.prove.workload.sending import open_client

pytestmark = pytest.mark.anyio

ORDERS = Request("GET", "/orders", route="/orders")
ROUTE = "GET /orders"
LINE = Place("shop.py", 7, "order")
USED = "postgresql+psycopg db:5432/shop pool 5+10"


@dataclass
class Wire:
    """The wire to an app that guards what it can, as far as trials use it."""

    at_first: Mapping[str, str] = field(default_factory=dict)
    at_last: Mapping[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    breaks: bool = False
    secret: str = "secret"

    @property
    def processes_count(self) -> int:
        self.told.append("tried")
        if self.breaks:
            raise WireError("gone")
        return 1

    def guard(self, *, on: bool) -> Mapping[str, str]:
        self.told.append("up" if on else "down")
        return self.at_first if on else self.at_last

    def switch_on(self, name: str, arm: Arm) -> None:
        pass

    def switch_off(self, name: str) -> None:
        pass

    def samples(self) -> Samples:
        fared: Mapping[str, Fared] = {}
        return Samples({}, fared)


def subject(*shapes: str) -> Subject:
    """A list without a limit, of a route that sends these statements."""
    trace = Trace(
        number=1,
        process_id=1,
        method="GET",
        route="/orders",
        status=200,
        started_at=0.0,
        start_ns=0,
        response_end_ns=10,
        end_ns=10,
        response_bytes=0,
        statements=tuple(Statement(one, "psycopg", LINE) for one in shapes),
        holds=(Hold(USED, 0, 1),),
    )
    finding = Finding(
        "It is long.", LINE, rule="unbounded-list", route=ROUTE, fixes=("limit-rows",)
    )
    return Subject(finding, (trace,), lambda _: None)


async def tried(wire: Wire, *subjects: Subject, url: str = "http://127.0.0.1:1") -> Tried:
    async with open_client(url) as client:
        stage = Stage(
            client=client,
            link=cast(Link, wire),
            headers=(),
            requests={ROUTE: (ORDERS,)},
            users_count=2,
            left_count=lambda _: 100,
            deadline=time.monotonic() + 60,
        )
        trials = Trials(stage, Path.cwd(), lambda _says, _share: None, lambda _: None)
        return await trials.run(subjects)


async def test_a_route_that_locks_rows_is_not_tried() -> None:
    found = await tried(Wire(), subject("SELECT id FROM orders FOR UPDATE"))

    (trial,) = found.trials
    assert NOT_TRIED == trial.verdict
    assert trial.why.startswith("it locks rows (FOR UPDATE and the like), which is refused")


async def test_a_route_that_answers_otherwise_than_in_the_check_is_not_tried() -> None:
    async def failing(scope: dict[str, Any], _receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    with serving(failing) as url:
        found = await tried(Wire(), subject("SELECT id FROM orders"), url=url)

    (trial,) = found.trials
    assert NOT_TRIED == trial.verdict
    assert (
        "its requests are not answered as they were in the check (status 500): they may write,"
        " which is refused while fixes are tried"
    ) == trial.why


async def test_the_guard_is_up_while_anything_is_tried() -> None:
    wire = Wire()

    await tried(wire, subject("SELECT id FROM orders FOR UPDATE"))

    assert ("up", "down") == (wire.told[0], wire.told[-1])
    assert {"tried"} == set(wire.told[1:-1])


async def test_the_guard_is_taken_down_when_the_wire_breaks() -> None:
    wire = Wire(breaks=True)

    with pytest.raises(WireError, match="gone"):
        await tried(wire, subject("SELECT id FROM orders"))

    assert ["up", "tried", "down"] == wire.told


async def test_what_is_used_and_not_guarded_is_told_and_nothing_else() -> None:
    wire = Wire({}, {USED: "it was refused", "asyncpg": "it is another", f"{USED}0": "no"})

    found = await tried(wire, subject("SELECT id FROM orders FOR UPDATE"))

    assert (f"The read-only guard was not in force for {USED}: it was refused.",) == found.left
