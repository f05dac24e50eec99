"""Workloads made from real applications, answered over a real socket."""

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import date
from enum import Enum
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import Cookie, FastAPI, Header, HTTPException, Path, Query
from pydantic import BaseModel

from tests.prove.workload.serving import serving
from unslow.model.workload import LeftOut, Plan, Request
from unslow.prove.workload.answers import Answer
from unslow.prove.workload.filling import Given, spread
from unslow.prove.workload.making import RouteMissingError, made, planned, unasked
from unslow.prove.workload.openapi import operations
from unslow.prove.workload.sending import as_json, open_client, send

TODAY = date(2026, 7, 31)
USERS = [uuid.UUID(int=number) for number in range(1, 31)]
# The first user has none, as so often, and the last ones neither.
POSTS = {number: USERS[1 + number % 10] for number in range(100, 120)}
ORDERS = range(1000, 1040)

INTEGER = {"type": "integer"}

Thing = TypeVar("Thing")


class Kind(Enum):
    NEW = "new"
    USED = "used"


class Search(BaseModel):
    text: str
    user_id: uuid.UUID
    limit: int = 10


shop = FastAPI()


@shop.get("/users")
async def list_users(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> dict[str, Any]:
    return {"items": [{"id": user, "name": "x"} for user in USERS[:limit]], "total": len(USERS)}


@shop.get("/users/{user_id}")
async def get_user(user_id: uuid.UUID) -> dict[str, Any]:
    return {"id": _known(user_id, USERS)}


@shop.get("/users/{user_id}/posts")
async def list_posts(user_id: uuid.UUID, page_size: int = 5) -> list[dict[str, Any]]:
    return [{"id": post} for post, user in POSTS.items() if user == user_id][:page_size]


@shop.get("/users/{user_id}/posts/{post_id}")
async def get_post(user_id: uuid.UUID, post_id: int) -> dict[str, Any]:
    if POSTS.get(post_id) != user_id:
        raise HTTPException(404)
    return {"id": post_id, "comments": [{"id": 10 * post_id}]}


@shop.get("/comments/{comment_id}")
async def get_comment(comment_id: int) -> int:
    return _known(comment_id, [10 * post for post in POSTS])


@shop.get("/orders/{order_id}")
async def get_order(order_id: int) -> dict[str, int]:
    return {"id": _known(order_id, ORDERS), "order_id": order_id}


@shop.get("/tags")
async def list_tags() -> list[str]:
    return ["red", "a/b"]


@shop.get("/tags/{tag:path}")
async def get_tag(tag: str) -> str:
    return _known(tag, ["red", "a/b"])


@shop.get("/stock/{kind}")
async def get_stock(kind: Kind, year: Annotated[int, Query(ge=2000, le=2100)]) -> Kind:
    return kind


@shop.get("/search")
async def find(q: str, since: date, sort: Kind = Kind.NEW, page: int = 1) -> str:
    return q


@shop.get("/events")
async def list_events(user_id: uuid.UUID) -> uuid.UUID:
    return _known(user_id, USERS)


@shop.get("/tenants")
async def list_tenants(
    x_tenant: Annotated[str, Header()], session: Annotated[str, Cookie()]
) -> str:
    return f"{x_tenant} {session}"


@shop.get("/shelves/{shelf_id}")
async def get_shelf(shelf_id: Annotated[int, Path(ge=1)]) -> int:
    return shelf_id


@shop.get("/logout")
async def logout() -> None:
    raise AssertionError


@shop.post("/users")
async def create_user() -> None:
    raise AssertionError


@shop.post("/search")
async def search(what: Search) -> str:
    return str(_known(what.user_id, USERS))


def _known(one: Thing, all_of_them: Any) -> Thing:
    if one not in all_of_them:
        raise HTTPException(404)
    return one


SHOP = operations(shop.openapi())
GIVEN = Given(
    TODAY,
    keys={"public.orders": list(ORDERS)},
    values={"x_tenant": ["t"]},
    header_names=frozenset({"cookie"}),
    read_only_posts=frozenset({"POST /search"}),
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(shop) as url:
        yield url


class Asked:
    """Asks the shop, and counts what was asked and how it was answered."""

    def __init__(self, url: str) -> None:
        self.client = open_client(url)
        self.operations: Counter[str] = Counter()
        self.statuses: Counter[tuple[str, int]] = Counter()

    async def ask(self, request: Request) -> object:
        self.operations[request.operation] += 1
        extra = (("Cookie", "session=s"),)
        exchange = await send(self.client, request, extra=extra, keep=as_json)
        self.statuses[request.operation, exchange.status] += 1
        return exchange.kept


async def whole(url: str, given: Given = GIVEN) -> tuple[Plan, Asked]:
    asked = Asked(url)
    async with asked.client:
        plan = await made(SHOP, given, asked.ask)
        asked.statuses.clear()
        for request in plan.requests:
            await asked.ask(request)
    return plan, asked


def targets(plan: Plan, route: str) -> list[str]:
    return [request.target for request in plan.requests if request.route == route]


@pytest.mark.anyio
async def test_every_request_of_a_made_workload_is_answered_well(url: str) -> None:
    plan, asked = await whole(url)

    assert {200} == {status for _, status in asked.statuses}
    assert {
        "GET /users": 3,
        "GET /users/{user_id}": 10,
        "GET /users/{user_id}/posts": 30,
        "GET /users/{user_id}/posts/{post_id}": 6,
        "GET /comments/{comment_id}": 1,
        "GET /orders/{order_id}": 10,
        "GET /tags": 1,
        "GET /tags/{tag}": 2,
        "GET /stock/{kind}": 2,
        "GET /search": 2,
        "GET /events": 10,
        "GET /tenants": 1,
        "POST /search": 1,
    } == Counter(request.operation for request in plan.requests)
    assert {
        LeftOut(
            "GET",
            "/shelves/{shelf_id}",
            "no value for shelf_id (integer): give [tool.unslow.values] shelf_id = [...]",
        ),
        LeftOut(
            "GET",
            "/logout",
            'its path says "logout", so it may do something; a file for --requests can name it',
        ),
        LeftOut(
            "POST",
            "/users",
            "by its method it may write; what only reads can be named:"
            " --read-only-post 'METHOD ROUTE'",
            True,
        ),
    } == set(plan.left_out)


@pytest.mark.anyio
async def test_an_operation_is_asked_once_and_again_only_while_its_answer_is_empty(
    url: str,
) -> None:
    asked = Asked(url)
    async with asked.client:
        await made(SHOP, GIVEN, asked.ask)

    posts = asked.operations.pop("GET /users/{user_id}/posts")
    # The answer of /stock/{kind} is no object.
    assert 1 == asked.operations["GET /users"] == asked.operations["GET /users/{user_id}"]
    assert max(asked.operations.values()) <= 3
    # Others go on from posts: they are asked for until three users have some.
    assert 3 < posts <= 6


@pytest.mark.anyio
async def test_what_is_below_a_list_is_asked_of_several_parents(url: str) -> None:
    plan, _ = await whole(url)

    users = {one.split("/")[2] for one in targets(plan, "/users/{user_id}/posts/{post_id}")}
    assert 3 == len(users)


def test_parents_are_asked_from_both_ends_and_from_the_middle() -> None:
    users = {"items": [{"id": str(user)} for user in USERS]}
    answers = [Answer(Request("GET", "/users", route="/users"), users)]
    asked = []
    for _ in range(3):
        requests = unasked(planned(SHOP, GIVEN, answers), answers)
        (posts,) = [one for one in requests if one.route == "/users/{user_id}/posts"]
        asked.append(int(posts.target.split("/")[2][-2:], 16) - 1)
        answers.append(Answer(posts, []))

    assert [0, 27] == asked[:2]
    assert 10 <= asked[2] <= 20


def test_a_plan_grows_with_what_was_answered() -> None:
    before = planned(SHOP, GIVEN)
    (first,) = [one for one in unasked(before, ()) if one.route == "/users"]
    after = planned(SHOP, GIVEN, [Answer(first, {"items": [{"id": str(USERS[3])}]})])

    assert [] == targets(before, "/users/{user_id}")
    assert [f"/users/{USERS[3]}"] == targets(after, "/users/{user_id}")
    assert "GET /users" not in [one.operation for one in unasked(after, [Answer(first, [1])])]


def test_pages_of_different_sizes_of_the_same_thing_are_a_group() -> None:
    users = [one for one in planned(SHOP, GIVEN).requests if one.route == "/users"]

    assert ["/users?limit=20", "/users?limit=40", "/users?limit=80"] == [x.target for x in users]
    assert {"GET /users #1"} == {one.group for one in users}
    assert {"openapi"} == {one.source for one in users}


def test_what_can_be_made_up_is_and_what_may_be_left_out_is_varied_alone() -> None:
    plan = planned(SHOP, GIVEN)

    assert ["/stock/new?year=2000", "/stock/used?year=2000"] == targets(plan, "/stock/{kind}")
    queries = [parse_qs(urlsplit(target).query) for target in targets(plan, "/search")]
    base = {"q": ["a"], "since": ["2026-07-01"]}
    assert [base, base | {"sort": ["used"]}] == queries[:2]


def test_what_the_user_gave_goes_before_all_else() -> None:
    given = Given(
        TODAY,
        values={
            "order_id": [7, 8],
            "limit": [3],
            "page": [4],
            "kind": ["used"],
            "q": ["shoes & hats"],
        },
        keys={"orders": [1000]},
    )

    plan = planned(SHOP, given)

    assert ["/orders/7", "/orders/8"] == targets(plan, "/orders/{order_id}")
    assert ["/users?limit=3"] == targets(plan, "/users")
    assert [""] == [one.group for one in plan.requests if one.route == "/users"]
    assert ["/stock/used?year=2000"] == targets(plan, "/stock/{kind}")
    assert "/search?q=shoes%20%26%20hats&since=2026-07-01&page=4" in targets(plan, "/search")


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"orders": [1]}, ["/orders/1"]),
        ({"order": [1]}, ["/orders/1"]),
        ({"shop.orders": [1]}, ["/orders/1"]),
        ({"shop_order": [1]}, ["/orders/1"]),
        ({"orders": ["x"]}, []),
        ({"borders": [1]}, []),
        ({"orders": range(100)}, [f"/orders/{number}" for number in range(0, 100, 10)]),
    ],
)
def test_keys_of_the_database_are_found_by_the_name_of_the_table(
    keys: dict[str, list[object]], found: list[str]
) -> None:
    assert found == targets(planned(SHOP, Given(TODAY, keys=keys)), "/orders/{order_id}")


def test_a_key_of_the_database_is_no_name() -> None:
    get: dict[str, Any] = {"parameters": [], "responses": {}}
    asked = operations({"openapi": "3.1.0", "paths": {"/shelves/{name}": {"get": get}}})
    given = Given(TODAY, keys={"shelves": ["7f1c3c1e", "8a2d"]})

    plan = planned(asked, given)
    shelves = Answer(Request("GET", "/shelves", route="/shelves"), [{"id": "8a2d", "name": "top"}])

    assert ((), "/shelves/{name}") == (plan.requests, plan.left_out[0].route)
    assert ["/shelves/top"] == targets(planned(asked, given, [shelves]), "/shelves/{name}")


def test_ids_in_a_query_belong_to_those_in_the_path() -> None:
    def needed(name: str, place: str) -> dict[str, Any]:
        return {"name": name, "in": place, "required": True, "schema": INTEGER}

    tasks_of = needed("task_ids", "query") | {"schema": {"type": "array", "items": INTEGER}}
    parameters = [needed("project_id", "path"), needed("job_id", "query"), tasks_of]
    status = {"parameters": parameters}
    asked = operations(
        {"openapi": "3.1.0", "paths": {"/projects/{project_id}/status": {"get": status}}}
    )
    projects = Answer(Request("GET", "/projects", route="/projects"), [{"id": 1}, {"id": 2}])
    jobs = Answer(
        Request("GET", "/jobs", route="/jobs"),
        [{"id": 20, "project_id": 2}, {"id": 10, "project_id": 1}],
    )
    tasks = [
        Answer(
            Request("GET", f"/projects/{number}/tasks", route="/projects/{project_id}/tasks"),
            [{"id": 100 * number}],
        )
        for number in (1, 2)
    ]

    plan = planned(asked, Given(TODAY), [jobs, *tasks, projects])

    assert [
        "/projects/1/status?job_id=10&task_ids=100",
        "/projects/2/status?job_id=20&task_ids=200",
    ] == [one.target for one in plan.requests]
    # Where none is known to, any may.
    lonely = planned(asked, Given(TODAY), [jobs, tasks[0], projects])
    assert "/projects/2/status?job_id=20&task_ids=100" == lonely.requests[1].target


def test_a_body_that_only_reads_is_made_from_its_schema() -> None:
    answers = [Answer(Request("GET", "/users", route="/users"), [{"id": str(USERS[0])}])]

    (request,) = [one for one in planned(SHOP, GIVEN, answers).requests if one.method == "POST"]

    assert f'{{"text": "a", "user_id": "{USERS[0]}"}}'.encode() == request.body
    assert (("Content-Type", "application/json"),) == request.headers


def test_headers_and_cookies_that_come_anyway_are_not_missed() -> None:
    plan = planned(SHOP, GIVEN)
    without = planned(SHOP, Given(TODAY, values={"session": ["s"]}))

    (request,) = [one for one in plan.requests if one.route == "/tenants"]
    assert (("x-tenant", "t"),) == request.headers
    (left_out,) = [one for one in without.left_out if one.route == "/tenants"]
    assert "no value for x-tenant (string): give [tool.unslow.values]" in left_out.why


def test_an_operation_that_is_not_there_cannot_be_named() -> None:
    with pytest.raises(RouteMissingError, match=r"'/find' .* wanted is one of: POST /users, POST"):
        planned(SHOP, Given(TODAY, read_only_posts=frozenset({"/find"})))


def test_of_many_operations_those_are_told_that_were_probably_meant() -> None:
    post: dict[str, Any] = {"responses": {}}
    paths = {f"/api/{chr(97 + number) * 5}/filter": {"post": post} for number in range(20)}
    asked = operations({"openapi": "3.1.0", "paths": paths})
    given = Given(TODAY, read_only_posts=frozenset({"POST /sssss/filter"}))

    with pytest.raises(RouteMissingError) as error:
        planned(asked, given)

    told = str(error.value).partition("wanted is one of: ")[2]
    assert told.startswith("POST /api/sssss/filter, ")
    assert 9 == told.count("filter, P")
    assert told.endswith(" and others.")


def document(**operation: Any) -> Any:
    return {"openapi": "3.1.0", "paths": {"/x": {"post": operation}}}


ALLOWED = Given(TODAY, read_only_posts=frozenset({"/x"}))


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ({"type": "object", "required": ["a"], "properties": {"a": {"default": 3}}}, b'{"a": 3}'),
        ({"type": "object", "properties": {"a": {}}}, b"{}"),
        ({"type": "array", "minItems": 1, "items": {"type": "integer"}}, b"[1]"),
        ({"type": "array", "items": {"type": "object"}}, b"[]"),
        ({"type": "array", "minItems": 2, "items": {"type": "object"}}, b"[{}, {}]"),
        ({"example": {"q": 1}}, b'{"q": 1}'),
    ],
)
def test_a_body_has_what_its_schema_requires(schema: dict[str, Any], body: bytes) -> None:
    content = {"application/json": {"schema": schema}}

    plan = planned(operations(document(requestBody={"content": content})), ALLOWED)

    assert [body] == [request.body for request in plan.requests]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"multipart/form-data": {}}, "its body is multipart/form-data"),
        (
            {"application/json": {"schema": {"type": "object", "required": ["user_id"]}}},
            "no value for user_id (any value)",
        ),
        (
            {
                "application/json": {
                    "schema": {"$ref": "#/paths/~1x/post/requestBody/content/application~1json"}
                }
            },
            "no value for body (any value)",
        ),
    ],
)
def test_a_body_that_cannot_be_made_leaves_its_operation_out(
    content: dict[str, Any], why: str
) -> None:
    body = {"content": content, "required": True}

    plan = planned(operations(document(requestBody=body)), ALLOWED)

    (left_out,) = plan.left_out
    assert why in left_out.why


def test_a_form_is_sent_as_a_form() -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"const": "x y"}}}
    body = {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}

    (request,) = planned(operations(document(requestBody=body)), ALLOWED).requests

    assert b"a=x+y" == request.body


def test_a_list_in_a_query_is_repeated() -> None:
    parameter = {"name": "tags", "in": "query", "required": True, "example": ["a", "b"]}
    parameter["schema"] = {"type": "array", "items": {"type": "string"}}
    ids = {"name": "user_ids", "in": "query", "required": True}
    ids["schema"] = {"type": "array", "items": {"type": "integer"}}
    answers = [Answer(Request("GET", "/users", route="/users"), [{"id": 3}])]

    plan = planned(operations(document(parameters=[parameter, ids])), ALLOWED, answers)

    assert ["/x?tags=a&tags=b&user_ids=3"] == [request.target for request in plan.requests]


def test_a_choice_is_spread_over_all_there_is() -> None:
    assert (0, 3, 6) == spread(range(10), 3)
    assert (1, 2) == spread([1, 2], 3)
