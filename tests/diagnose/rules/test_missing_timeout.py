"""Calls without a bound, and the places at which a bound may stand."""

from pathlib import Path

import pytest

from tests.diagnose.story import (
    ENDPOINT,
    LINE,
    OTHER_LINE,
    App,
    Story,
    found,
    judged,
    listing,
    only,
)
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.missing_timeout import missing_timeout
from unslow.model.trace import Place

HOST = "prices.example:443"
MAIL = "smtp mail.example:25"


def test_one_call_without_a_bound_is_enough() -> None:
    finding = only(found(missing_timeout, Story().asks(10, is_bounded=False).trace()))

    assert ("missing-timeout", LINE) == (finding.rule, finding.place)
    assert f"The answer of {HOST} is waited for without end." == finding.says
    assert {"host": HOST, "calls": 1} == finding.evidence
    assert finding.could_save_ms is None


def test_a_call_with_a_timeout_of_its_own_or_of_its_client_is_fine() -> None:
    assert [] == judged(
        missing_timeout, Story().asks(10, is_bounded=True).sends(listing(5)).trace()
    )


def test_two_services_and_two_lines_have_findings_of_their_own() -> None:
    story = Story().asks(10, LINE, is_bounded=False).asks(10, OTHER_LINE, is_bounded=False)
    story.asks(10, LINE, host="rates.example:443", is_bounded=False)

    findings = found(missing_timeout, story.trace(), story.trace())

    assert {(LINE, HOST), (OTHER_LINE, HOST), (LINE, "rates.example:443")} == {
        (one.place, one.evidence["host"]) for one in findings
    }
    assert {2} == {one.evidence["calls"] for one in findings}


@pytest.mark.parametrize(
    "body",
    [
        "async with asyncio.timeout(5):\n        await client.get(1)  # here",
        "async with asyncio.timeout_at(when), lock:\n        await client.get(1)  # here",
        "with anyio.fail_after(5):\n        await client.get(1)  # here",
        "with move_on_after(5) as scope:\n        await client.get(1)  # here",
        "return await asyncio.wait_for(client.get(1), 5)  # here",
    ],
)
def test_something_around_the_call_may_bound_it(tmp_path: Path, body: str) -> None:
    app = App(tmp_path, f"async def list_orders(client):\n    {body}\n")
    trace = Story().asks(10, app.at("# here"), is_bounded=False).trace()

    assert [Nearly(f"a call of {HOST} has no timeout; something around it has one")] == judged(
        missing_timeout, trace
    )


def test_a_bound_may_stand_around_the_helper_that_calls(tmp_path: Path) -> None:
    app = App(
        tmp_path,
        """
        async def list_orders(client):
            async with asyncio.timeout(5):
                await ask(client)  # bounded
            await ask(client)  # endless

        async def ask(client):
            return await client.get(1)  # here
        """,
    )
    here = app.at("# here", "ask")
    bounded = Story().asks(10, here, app.at("# bounded"), is_bounded=False)

    assert [] == found(missing_timeout, bounded.trace())

    both = bounded.asks(10, here, app.at("# endless"), is_bounded=False)
    finding = only(found(missing_timeout, both.trace()))
    assert (here, 1) == (finding.place, finding.evidence["calls"])


def test_a_bound_elsewhere_in_the_function_bounds_nothing(tmp_path: Path) -> None:
    app = App(
        tmp_path,
        """
        async def list_orders(client):
            async with asyncio.timeout(5):
                await client.get(1)
            async with client.stream(2) as stream:  # here
                await asyncio.wait_for(stream.read(), 5)
        """,
    )
    trace = Story().asks(10, app.at("# here"), is_bounded=False).trace()

    assert app.at("# here") == only(found(missing_timeout, trace)).place


def test_of_a_call_handed_to_a_task_of_its_own_the_endpoint_may_wait_with_a_bound(
    tmp_path: Path,
) -> None:
    app = App(
        tmp_path,
        """
        async def list_orders(client):
            return await asyncio.wait_for(client.get(1), 5)
        """,
    )
    story = Story().asks_in_passing(10, is_bounded=False)

    assert [] == found(missing_timeout, story.trace(endpoint=app.at("async def")))
    assert ENDPOINT == only(found(missing_timeout, story.trace())).place


def test_a_mail_has_one_finding_where_its_connection_is_made() -> None:
    story = Story()
    for line in (20, 21, 22):
        place = Place("/app/mail.py", line, "send_mail")
        story.asks(5, place, host=MAIL, is_bounded=False)

    finding = only(found(missing_timeout, story.trace()))

    assert (20, MAIL) == (finding.place and finding.place.line, finding.evidence["host"])
