"""The sample apps answer, and what is said about them is the whole truth."""

import importlib
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from tests.record.probes.redis_server import running_redis
from tests.sample_apps.call import Call
from tests.sample_apps.catalogue import NAMES, Sample, all_samples, sample
from tests.sample_apps.stub import running_services
from tests.sample_apps.truth import RULES, Planted, TruthError, expected, marks

SAMPLES = all_samples()
IN_THREE_SHAPES = {"lazy-load-loop", "repeated-query", "blocking-call"}
SEEN_TOGETHER = {"pool-wait", "pool-settings", "thread-starvation"}
WORKER_THREADS_COUNT = 40

each_sample = pytest.mark.parametrize("known", SAMPLES, ids=NAMES)


def operation_of(call: Call) -> str:
    return f"{call.method} {call.route}"


def operations_of(known: Sample) -> set[str]:
    """Every operation that the truth names."""
    return {each.operation for each in known.planted} | set(known.innocent)


@pytest.fixture(scope="module")
def environment(
    new_database: Callable[[], AbstractContextManager[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("redis")
    with (
        new_database() as database_url,
        running_redis(folder) as redis_url,
        running_services() as services,
        pytest.MonkeyPatch.context() as patch,
    ):
        variables = services.environment(database_url, redis_url)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield variables


@contextmanager
def served(app: Any) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)
        assert not thread.is_alive()
        assert server.started


def app_of(known: Sample) -> Starlette:
    module, _, name = known.target.partition(":")
    app: Starlette = getattr(importlib.import_module(module), name)
    return app


@each_sample
def test_every_endpoint_answers_as_its_calls_expect(
    known: Sample, environment: dict[str, str]
) -> None:
    known.prepare(environment["SAMPLE_DATABASE_URL"])
    first_calls = {operation_of(call): call for call in reversed(known.workload())}

    with served(app_of(known)) as url, httpx.Client(timeout=20, trust_env=False) as client:
        answers = {
            operation: client.request(
                call.method, f"{url}{call.path}", headers=dict(call.headers), json=call.json
            )
            for operation, call in first_calls.items()
        }

    wrong = {
        operation: (answer.status_code, answer.text[:200])
        for operation, answer in answers.items()
        if answer.status_code != first_calls[operation].status
    }
    assert {} == wrong


def test_what_is_prepared_twice_is_the_same(environment: dict[str, str]) -> None:
    for _ in range(2):
        sample("gallery").prepare(environment["SAMPLE_DATABASE_URL"])


def paths_of(routes: list[BaseRoute], above: str = "") -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield from paths_of(route.routes, above + route.path)
        elif isinstance(route, Route):
            yield above + route.path_format


@each_sample
def test_the_truth_and_the_workload_name_every_endpoint(known: Sample) -> None:
    app = app_of(known)
    if hasattr(app, "openapi"):
        declared = {
            f"{method.upper()} {path}"
            for path, methods in app.openapi()["paths"].items()
            for method in methods
        }
    else:
        paths = set(paths_of(app.routes))
        declared = {each for each in operations_of(known) if each.split(" ")[1] in paths}
        assert paths == {each.split(" ")[1] for each in declared}

    assert declared == operations_of(known)
    assert declared == {operation_of(call) for call in known.workload()}


@each_sample
def test_no_endpoint_is_both_planted_and_innocent(known: Sample) -> None:
    assert not {each.operation for each in known.planted} & set(known.innocent)
    assert len(known.innocent) == len(set(known.innocent))


@each_sample
def test_every_entry_has_a_mark_and_every_mark_an_entry(known: Sample) -> None:
    mapped = {(each.rule, each.file, each.function) for each in known.planted}
    touched = {(each.rule, *each.touched) for each in known.planted if each.touched}
    marked = marks(known.folder)

    assert all(truth.lines for truth in known.truths())
    assert mapped == {(m.rule, m.file, m.function) for m in marked if m.kind == "finding"}
    assert touched == {(m.rule, m.file, m.function) for m in marked if m.kind == "touched"}


@each_sample
def test_marks_and_doubts_name_rules_and_operations_that_exist(known: Sample) -> None:
    assert {mark.rule for mark in marks(known.folder)} <= RULES
    assert {rule for _, rule in known.arguable} <= RULES
    assert {operation for operation, _ in known.arguable} <= operations_of(known)
    planted = {(each.operation, each.rule) for each in known.planted}
    assert not planted & set(known.arguable)


def test_an_entry_without_its_mark_is_an_error() -> None:
    known = sample("shop")
    wrong = Planted("GET /orders", "deep-offset", "services/orders.py", "recent_orders")

    with pytest.raises(TruthError, match="deep-offset in recent_orders"):
        expected(known.folder, [wrong])


def test_a_marked_function_counts_from_its_decorator_to_the_end_of_its_head() -> None:
    known = sample("newsroom")
    (truth,) = (each for each in known.truths() if each.function == "list_authors")
    lines = truth.path.read_text().splitlines()

    assert lines[truth.lines[0] - 1].startswith("@router.get(")
    assert "finding: entity-response" in lines[truth.lines[-1] - 1]


def test_there_are_enough_endpoints_and_enough_of_them_are_innocent() -> None:
    assert sum(len(operations_of(known)) for known in SAMPLES) >= 70
    assert sum(len(known.innocent) for known in SAMPLES) >= 30


def test_every_rule_is_planted_in_several_places() -> None:
    shapes = Counter(
        rule
        for rule, *_ in {
            (each.rule, known.name, each.file, each.function)
            for known in SAMPLES
            for each in known.planted
        }
    )

    assert RULES == shapes.keys()
    assert [] == [rule for rule in RULES if shapes[rule] < (2, 3)[rule in IN_THREE_SHAPES]]


@each_sample
def test_every_operation_is_asked_for_often_enough_to_see_it_grow(known: Sample) -> None:
    alone = Counter(operation_of(call) for call in known.workload() if call.users_count == 1)

    assert alone.keys() == operations_of(known)
    assert [] == [operation for operation, count in alone.items() if not 12 <= count <= 20]


@each_sample
def test_what_only_many_users_see_is_asked_for_by_many(known: Sample) -> None:
    users = Counter[str]()
    for call in known.workload():
        users[operation_of(call)] = max(users[operation_of(call)], call.users_count)

    for each in known.planted:
        if each.rule in SEEN_TOGETHER:
            starving = each.rule == "thread-starvation"
            assert users[each.operation] > (WORKER_THREADS_COUNT if starving else 10)


@each_sample
def test_every_call_says_whether_its_client_unpacks(known: Sample) -> None:
    assert all("accept-encoding" in dict(call.headers) for call in known.workload())
