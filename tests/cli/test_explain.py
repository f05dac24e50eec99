"""`unslow explain`: on a store as a run leaves it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from unslow.cli import command
from unslow.cli.explain import UnknownRouteError, named
from unslow.diagnose.catalogue import RULES
from unslow.model.codec import dumps, packed_trace
from unslow.model.trace import OWN_CODE, Lane, Place, Process, Slice, Step, Trace
from unslow.store import Batch, StoreWriter

MS = 1_000_000
RUN = "2026-03-01T12:00:00 aaaa"
ROUTES = ("GET /users/{user_id}", "DELETE /users/{user_id}", "GET /users/{user_id}/posts", "GET /")


def trace(number: int, route: str, status: int = 200) -> Trace:
    """A request that computes for 30 ms on the event loop; each ends before the next begins."""
    start, end = 60 * number * MS, (60 * number + 30) * MS
    place = Place("/srv/shop/users.py", 97, "get_user")
    lane = Lane(
        "task", 5, -1, start, end, (Step(start, end),), (Slice(start, end, OWN_CODE, None, place),)
    )
    return Trace(
        number=number,
        process_id=1,
        method="GET",
        route=route,
        status=status,
        started_at=1_772_366_400 + number,
        start_ns=start,
        response_end_ns=end,
        end_ns=end,
        response_bytes=2,
        lanes=(lane,),
    )


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a store in the current folder, where it is usually."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    facts = Process(7, 1_772_366_400.0, "3.11.7", 0, 0)
    writer = StoreWriter(tmp_path / ".unslow", 2**30, RUN, facts)
    traces = [trace(number, "/users/{user_id}/posts") for number in range(1, 5)]
    traces += [trace(number, "/users", status=401) for number in range(5, 8)]
    writer.write(Batch(tuple(dumps(packed_trace(one)) for one in traces), ()), facts)
    writer.close()
    return tmp_path / ".unslow"


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(command, ["explain", *arguments])
    assert (0, "") == (result.exit_code, result.stderr), result.output
    return result.stdout


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(command, ["explain", *arguments])
    assert (2, "") == (result.exit_code, result.stdout), result.output
    (line,) = result.stderr.splitlines()
    return line


def test_a_route_is_told_with_what_became_of_each_rule() -> None:
    text = shown("/users/{user_id}/posts")

    assert text.startswith("GET /users/{user_id}/posts\n  4 requests · 4 counted · mean 30.0 ms\n")
    assert "\n\nFound (" in text
    assert "  long-step · could save " in text
    assert "\n\nClean (" in text
    assert "\n\nNot checked (" in text
    for one in RULES:
        assert one.id in text


def test_a_route_that_nothing_counts_of_is_not_checked_and_never_clean() -> None:
    text = shown("GET /users")

    assert "  3 requests · 0 counted ·" in text
    assert f"\n\nNot checked ({len(RULES)})\n" in text
    assert "no request was answered with a 2xx, but with 401" in " ".join(text.split())
    assert "Clean" not in text


def test_as_json_every_rule_has_its_outcome() -> None:
    found = json.loads(shown("--json", "posts"))

    assert "GET /users/{user_id}/posts" == found["route"]
    states = {one["rule"]: one["state"] for one in found["rules"]}
    assert {one.id for one in RULES} == states.keys()
    assert "found" == states["long-step"]
    assert {"found", "clean", "not-checked"} == set(states.values())


def test_run_and_folder_are_named_as_for_a_report(store: Path) -> None:
    store.rename(store.with_name("elsewhere"))

    assert "GET /users" in shown("/users", "--folder", "elsewhere", "--run", "2026-03-01")
    assert "no run whose name begins with '2027'" in refused(
        "/users", "--folder", "elsewhere", "--run", "2027"
    )
    assert "No traces in .unslow" in refused("/users")


def test_a_route_that_is_not_there_is_said_with_those_that_are() -> None:
    assert (
        "unslow: There is no route '/orders' in this run; there are GET /users, GET"
        " /users/{user_id}/posts." == refused("/orders")
    )


@pytest.mark.parametrize(
    ("given", "route"),
    [
        ("GET /users/{user_id}", "GET /users/{user_id}"),
        ("get  /USERS/{user_id}", "GET /users/{user_id}"),
        ("delete", "DELETE /users/{user_id}"),
        ("/users/{user_id}/posts", "GET /users/{user_id}/posts"),
        ("posts", "GET /users/{user_id}/posts"),
        ("/users/41/posts", "GET /users/{user_id}/posts"),
        ("DELETE /users/41", "DELETE /users/{user_id}"),
        ("/", "GET /"),
    ],
)
def test_a_route_is_named_whole_without_its_method_by_a_path_of_it_or_by_a_part(
    given: str, route: str
) -> None:
    assert route == named(given, ROUTES)


@pytest.mark.parametrize("given", ["/users/{user_id}", "/users/41", "users/{"])
def test_of_several_routes_one_has_to_be_named(given: str) -> None:
    with pytest.raises(UnknownRouteError) as caught:
        named(given, ROUTES)

    assert str(caught.value).startswith(
        f"{given!r} may be GET /users/{{user_id}}, DELETE /users/{{user_id}}"
    )
    assert str(caught.value).endswith(". Name one of them, with its method.")


def test_of_many_routes_the_first_are_named_and_the_others_counted() -> None:
    routes = [f"GET /{number}" for number in range(25)]

    with pytest.raises(UnknownRouteError, match=r"there are GET /0, .*, GET /19 and 5 more\."):
        named("x", routes)


def test_a_run_without_a_request_has_no_route_to_name() -> None:
    with pytest.raises(UnknownRouteError, match="holds no request"):
        named("x", [])
