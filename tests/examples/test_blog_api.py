"""The blog answers what its README says: beside the demo on the same rows, by its one command."""

import csv
import importlib
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Any

import httpx
import psycopg
import pytest
import uvicorn

from examples.blog_api.data import prepare
from examples.blog_api.models import Base
from tests.fast.doors import run
from tools import ROOT
from unslow.demo import models as demo_models
from unslow.demo.app import create_app
from unslow.demo.data import fill
from unslow.demo.planted import PLANTED
from unslow.demo.stub import start_stub
from unslow.fast import View
from unslow.postgres.server import PACKAGE

SMALL = 0.02
KEY = {"x-api-key": "the key of the tests"}
README = ROOT / "examples" / "blog_api" / "README.md"

TWINS = (
    "/users/1/posts",
    "/users/7/posts",
    "/users/1/feed",
    "/users/7/feed",
    "/posts/export",
    "/orders/7",
    "/reports/sales",
    "/leads/3/score",
    "/users/1",
    "/customers/3/summary",
    "/customers/999/summary",
    "/posts/5",
    "/leads/3",
)


@contextmanager
def served(app: Any) -> Iterator[httpx.Client]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
            yield client
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """A database with the rows of the demo, in which the blog has made what else it needs."""
    with new_database() as url:
        fill(url, scale=SMALL)
        with psycopg.connect(url, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f"ALTER DATABASE \"{name}\" SET timezone TO 'UTC'".encode())
        run(prepare(url))
        yield url


@pytest.fixture(scope="module")
def environment(url: str) -> Iterator[None]:
    with start_stub() as stub_url, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "UNSLOW_DEMO_DATABASE_URL": url,
            "UNSLOW_DEMO_STUB_URL": stub_url,
            "DATABASE_URL": url,
            "CURSOR_SECRET": "the secret of the tests",
            "API_KEY": KEY["x-api-key"],
            "SCORING_URL": stub_url,
        }.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def demo(environment: None) -> Iterator[httpx.Client]:
    with served(create_app()) as client:
        yield client


@pytest.fixture(scope="module")
def blog(environment: None) -> Iterator[httpx.Client]:
    # The app reads its environment when it is imported.
    application = importlib.import_module("examples.blog_api.app").application
    with served(application) as client:
        yield client


def get(client: httpx.Client, path: str, **options: Any) -> Any:
    answer = client.get(path, headers=KEY, **options)
    assert 200 == answer.status_code, answer.text
    return answer.json()


def all_pages(client: httpx.Client, path: str, **asked: Any) -> list[Any]:
    page = get(client, path, params=asked)
    items: list[Any] = page["items"]
    while page["next"] is not None:
        page = get(client, path, params={**asked, "cursor": page["next"]})
        items += page["items"]
    return items


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


@pytest.mark.parametrize("path", TWINS)
def test_a_twin_answers_what_the_demo_answers(
    path: str, blog: httpx.Client, demo: httpx.Client
) -> None:
    expected = get(demo, path)

    assert expected
    assert expected == get(blog, path)


def test_the_pages_of_customers_hold_what_the_demo_answers_at_once(
    blog: httpx.Client, demo: httpx.Client
) -> None:
    assert get(demo, "/customers") == all_pages(blog, "/customers", limit=7)


def test_each_view_is_one_statement_whose_json_is_made_by_the_database(environment: None) -> None:
    views = vars(importlib.import_module("examples.blog_api.views"))

    chosen = {
        name: one.explain().partition("\n")[0].rpartition(": ")[2]
        for name, one in views.items()
        if isinstance(one, View)
    }

    assert len(chosen) > 5
    assert {"json"} == set(chosen.values())


def test_what_the_demo_has_not_the_blog_has_not(blog: httpx.Client, demo: httpx.Client) -> None:
    for path in (
        "/users/0",
        "/users/999/feed",
        "/orders/0",
        "/posts/9999999",
        "/leads/999999/score",
    ):
        assert 404 == demo.get(path).status_code == blog.get(path, headers=KEY).status_code


def resolved(schema: Any, document: Any) -> Any:
    """A schema with what it refers to in its place, without names and descriptions."""
    if isinstance(schema, list):
        return [resolved(one, document) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if (name := schema.get("$ref")) is not None:
        return resolved(document["components"]["schemas"][name.rpartition("/")[2]], document)
    return {
        key: resolved(value, document)
        for key, value in schema.items()
        if not (key in {"title", "description"} and isinstance(value, str))
    }


@pytest.mark.parametrize(
    "path",
    ["/users/{user_id}", "/users/{user_id}/posts", "/users/{user_id}/feed", "/orders/{order_id}"],
)
def test_a_twin_declares_the_schema_that_the_demo_declares(
    path: str, blog: httpx.Client, demo: httpx.Client
) -> None:
    def declared(client: httpx.Client) -> Any:
        document = get(client, "/openapi.json")
        answer = document["paths"][path]["get"]["responses"]["200"]
        return resolved(answer["content"]["application/json"]["schema"], document)

    assert declared(demo) == declared(blog)


def test_the_tables_have_the_columns_of_the_demo() -> None:
    def columns(metadata: Any, names: Any) -> Any:
        return {
            name: [(one.name, str(one.type), one.nullable) for one in metadata.tables[name].columns]
            for name in names
        }

    theirs = demo_models.Base.metadata

    assert columns(theirs, theirs.tables) == columns(Base.metadata, theirs.tables)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: f"{one.rule} {one.route}")
def test_the_readme_says_what_became_of_each_slow_endpoint(planted: Any) -> None:
    assert f"| `{planted.method} {planted.route}` | {planted.rule} |" in README.read_text()


def test_a_client_chooses_the_fields_of_a_feed(blog: httpx.Client) -> None:
    feed = get(blog, "/users/1/feed", params={"fields": "name,posts.title"})

    assert {"name", "posts"} == set(feed)
    assert {("title",)} == {tuple(one) for one in feed["posts"]}
    assert 400 == blog.get("/users/1/feed?fields=password").status_code


def test_a_list_is_filtered_and_read_in_pages(blog: httpx.Client, demo: httpx.Client) -> None:
    of_user = [one for one in get(demo, "/posts/export")[::-1] if one["user_id"] == 7]
    since = of_user[3]["created_at"]

    found = all_pages(blog, "/posts", user_id=7, since=since, limit=5)

    assert [one["id"] for one in of_user[3:]] == [one["id"] for one in found]


def test_the_comments_of_a_post_are_those_of_its_feed(blog: httpx.Client) -> None:
    post = get(blog, "/users/7/feed")["posts"][0]

    assert post["comments"]
    assert post["comments"] == all_pages(blog, "/comments", post_id=post["id"])


def test_look_ups_at_the_same_time_each_get_their_own_sum(blog: httpx.Client, url: str) -> None:
    statement = "SELECT user_id, count(*), sum(total_cents) FROM orders GROUP BY 1 ORDER BY 1"
    expected = rows(url, statement)

    with ThreadPoolExecutor(8) as clients:
        paths = [f"/customers/{customer_id}/summary" for customer_id, *_ in expected]
        found = list(clients.map(lambda path: tuple(get(blog, path).values()), paths))

    assert expected == found


def test_a_new_order_is_in_the_report_that_is_kept(blog: httpx.Client, demo: httpx.Client) -> None:
    before = sum(month["orders"] for month in get(blog, "/reports/sales"))

    added = blog.post("/orders", headers=KEY, json={"user_id": 7, "total_cents": 1200})

    after = get(blog, "/reports/sales")
    assert 201 == added.status_code
    assert added.json() == get(blog, f"/orders/{added.json()['id']}")
    assert before + 1 == sum(month["orders"] for month in after)
    assert get(demo, "/reports/sales") == after


def test_an_order_of_nobody_is_refused(blog: httpx.Client) -> None:
    answer = blog.post("/orders", headers=KEY, json={"user_id": 999, "total_cents": 1200})

    assert 404 == answer.status_code


@pytest.mark.parametrize("path", ["/leads", "/leads/3", "/leads/3/score", "/exports/orders.csv"])
def test_what_is_not_public_wants_the_key(path: str, blog: httpx.Client) -> None:
    assert 401 == blog.get(path).status_code
    assert 401 == blog.get(path, headers={"x-api-key": "another"}).status_code
    assert 200 == blog.get(path, headers=KEY).status_code


def test_a_lead_is_stored_and_stands_first_in_the_list(blog: httpx.Client) -> None:
    lead = {"email": "a@example.com", "company": "A", "source": "fair", "message": "Hello"}

    answer = blog.post("/leads", json=lead)

    assert (201, {"is_new": True}) == (answer.status_code, answer.json())
    newest = get(blog, "/leads", params={"source": "fair", "limit": 1})["items"][0]
    assert lead == {name: newest[name] for name in lead}


def test_a_lead_without_an_address_is_refused(blog: httpx.Client) -> None:
    answer = blog.post("/leads", json={"email": "nobody", "company": "A", "message": "Hello"})

    assert 422 == answer.status_code
    assert ["body", "email"] == answer.json()["detail"][0]["loc"]


def test_an_event_that_comes_twice_is_stored_once(blog: httpx.Client, url: str) -> None:
    event = {
        "event_id": "2f0a6a34-9a3c-4a86-9d0e-5a1d6c1f7b11",
        "kind": "paid",
        "at": "2026-01-01T00:00:00Z",
        "payload": {"order": [1, None, "two"]},
    }

    answers = [blog.post("/webhook", json=event) for _ in range(2)]

    assert [201, 201] == [one.status_code for one in answers]
    assert [True, False] == [one.json()["is_new"] for one in answers]
    assert [(event["payload"],)] == rows(url, "SELECT payload FROM events")


def test_an_event_at_a_time_without_a_zone_is_refused(blog: httpx.Client) -> None:
    event = {
        "event_id": "2f0a6a34-9a3c-4a86-9d0e-5a1d6c1f7b12",
        "kind": "paid",
        "at": "2026-01-01T00:00:00",
    }

    assert 422 == blog.post("/webhook", json=event).status_code


def test_an_export_in_lines_holds_what_the_array_holds(blog: httpx.Client) -> None:
    lines = blog.get("/exports/posts.ndjson").text.splitlines()

    assert get(blog, "/posts/export") == [json.loads(line) for line in lines]


def test_a_spreadsheet_has_the_orders_after_one(blog: httpx.Client, url: str) -> None:
    answer = blog.get("/exports/orders.csv?after=990", headers=KEY)

    found = list(csv.DictReader(io.StringIO(answer.text)))
    statement = "SELECT id, user_id, status, total_cents FROM orders WHERE id > 990 ORDER BY id"
    assert 'attachment; filename="orders.csv"' == answer.headers["content-disposition"]
    assert [tuple(map(str, row)) for row in rows(url, statement)] == [
        (one["id"], one["user_id"], one["status"], one["total_cents"]) for one in found
    ]


def test_the_pool_is_seen_by_probes_and_by_prometheus(blog: httpx.Client) -> None:
    assert ("ok", "blog") == (get(blog, "/health")["status"], get(blog, "/health")["pool"])
    assert 'unslow_pool_max_size{pool="blog"} 10.0' in blog.get("/metrics").text


@contextmanager
def command(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The one command, and what it printed by the time at which it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.blog_api", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            printed = ""
            for line in process.stdout or ():
                printed += line
                if line.startswith("All routes"):
                    break
            yield process, printed
        finally:
            process.kill()


CURL = re.compile(r"curl '([^']+)'(?: --json '([^']+)')?(?: -H '([^']+)')?")


def test_the_one_command_serves_all_that_it_says_to_try() -> None:
    if find_spec(PACKAGE) is None:
        pytest.skip(f"missing server: PostgreSQL. {PACKAGE} is not installed")

    with command() as (process, printed), httpx.Client(trust_env=False, timeout=20) as client:
        tries = CURL.findall(printed)
        statuses = []
        for address, body, header in tries:
            headers = dict([header.split(": ")]) if header else {}
            method, content = ("POST", json.loads(body)) if body else ("GET", None)
            answer = client.request(method, address, json=content, headers=headers)
            statuses.append(answer.status_code)
        process.send_signal(signal.SIGINT)

        assert len(tries) > 5
        assert {200, 201} == set(statuses)
        assert 0 == process.wait(20)


def test_the_one_command_takes_a_database_and_leaves_the_rows_that_it_has(url: str) -> None:
    before = rows(url, "SELECT count(*) FROM users")

    with command("--database", url) as (process, printed):
        (at,) = re.findall(r"Serving at (\S+)", printed)
        answer = httpx.get(f"{at}/health", trust_env=False, timeout=20)
        process.send_signal(signal.SIGINT)

        assert "ok" == answer.json()["status"]
        assert 0 == process.wait(20)
    assert before == rows(url, "SELECT count(*) FROM users")
