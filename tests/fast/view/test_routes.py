"""Routes of views, in an app and in front of one."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import QueryParams

from tests.fast.doors import run
from tests.fast.view.blog import Feed, Seat, SeatOut, User, UserOut, fill, opened_engine
from unslow.fast import Keyset, View, bare, pool
from unslow.fast.errors import DefinitionError
from unslow.fast.view.routes import queried

KEYSET = Keyset(User.id, secret="not a secret, 16 bytes", default_limit=2, max_limit=5)
Build = Callable[[FastAPI, AsyncEngine], Any]


@pytest.fixture(scope="module")
def url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as made:
        run(fill(made))
        yield made


def routes(app: FastAPI | APIRouter, engine: AsyncEngine) -> Any:
    users = View(UserOut, User, engine, keyset=KEYSET, filters={"city": User.city})
    users.list_route(app, "/users", fields=True, total="exact", tags=["people"])
    users.route(app, "/users/{key}")
    View(Feed, User, engine).route(app, "/users/{key}/feed", fields=True)
    View(SeatOut, Seat, engine).route(app, "/seats/{row}/{number}")
    return app


def in_front(app: FastAPI, engine: AsyncEngine) -> Any:
    return bare(routes(app, engine))


def in_router(app: FastAPI, engine: AsyncEngine) -> Any:
    inner, outer = APIRouter(), APIRouter()
    routes(inner, engine)
    outer.include_router(inner)
    app.include_router(outer)
    return app


def in_front_of_router(app: FastAPI, engine: AsyncEngine) -> Any:
    return bare(in_router(app, engine))


@asynccontextmanager
async def client_of(url: str, build: Build) -> AsyncIterator[httpx.AsyncClient]:
    async with opened_engine(url) as engine:
        app = build(FastAPI(), engine)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test"
        ) as client:
            yield client


def got(url: str, build: Build, path: str, **headers: str) -> tuple[int, Any]:
    """The status and the JSON of one request."""

    async def case() -> tuple[int, Any]:
        async with client_of(url, build) as client:
            answer = await client.get(path, headers=headers)
            assert "application/json" == answer.headers["content-type"]
            assert str(len(answer.content)) == answer.headers["content-length"]
            return answer.status_code, answer.json()

    return run(case())


EVERYWHERE = [routes, in_front, in_router, in_front_of_router]
everywhere = pytest.mark.parametrize("build", EVERYWHERE)


@everywhere
def test_a_row_is_read_by_the_key_in_the_path(url: str, build: Build) -> None:
    status, found = got(url, build, "/users/3?any=thing")

    assert (200, "user 3") == (status, found["name"])


@everywhere
def test_a_key_of_two_columns_is_two_parameters(url: str, build: Build) -> None:
    expected = {"row": "A", "number": 2, "guest": None}

    assert (200, expected) == got(url, build, "/seats/A/2")


@everywhere
def test_what_is_not_there_is_404(url: str, build: Build) -> None:
    assert (404, {"detail": "Not Found"}) == got(url, build, "/users/99")


@everywhere
@pytest.mark.parametrize("key", ["x", "1.5", "%20", "-", "9" * 20, "9" * 40, "\u0661"])
def test_a_key_that_is_none_is_what_fastapi_says_of_it(url: str, build: Build, key: str) -> None:
    def by_hand(app: FastAPI, _: AsyncEngine) -> Any:
        @app.get("/users/{key}")
        async def read(key: int) -> int:
            return key

        return app

    status, found = got(url, by_hand, f"/users/{key}")
    if status == 200:
        # Python takes the digits of all scripts, and so does FastAPI.
        assert (404, {"detail": "Not Found"}) == got(url, build, f"/users/{key}")
    else:
        assert (status, found) == got(url, build, f"/users/{key}")


@everywhere
def test_a_client_may_choose_fields_where_it_was_allowed(url: str, build: Build) -> None:
    assert (200, {"id": 1, "posts": [{"id": n} for n in (10, 11, 12)]}) == got(
        url, build, "/users/1/feed?fields=id,posts.id"
    )
    status, found = got(url, build, "/users/1/feed?fields=password")
    assert (400, True) == (status, "password" in found["detail"])
    assert 4 == len(got(url, build, "/users/1?fields=id")[1])


@everywhere
def test_pages_follow_one_another(url: str, build: Build) -> None:
    async def case() -> list[Any]:
        async with client_of(url, build) as client:
            found, cursor = [], ""
            while True:
                page = (await client.get(f"/users?limit=5&fields=id{cursor}")).json()
                found.append([[item["id"] for item in page["items"]], page["total"]])
                if page["next"] is None:
                    return found
                cursor = f"&cursor={page['next']}"

    assert [[[1, 2, 3, 4, 5], 12], [[6, 7, 8, 9, 10], 12], [[11, 12], 12]] == run(case())


@given(st.text(st.sampled_from("ab1&=+%;é "), max_size=30).map(lambda text: text.encode("latin-1")))
def test_a_query_is_read_as_the_framework_reads_it(query: bytes) -> None:
    assert dict(QueryParams(query)) == queried(query)


@everywhere
def test_a_page_has_what_the_query_filters(url: str, build: Build) -> None:
    status, found = got(url, build, "/users?city=city%201")

    assert (200, [1, 7]) == (status, [item["id"] for item in found["items"]])


@everywhere
@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=6", 422), ("limit=x", 422), ("cursor=x", 400), ("fields=x", 400), ("other=1", 200)],
)
def test_a_page_that_may_not_be_asked_for_is_refused(
    url: str, build: Build, query: str, status: int
) -> None:
    assert status == got(url, build, f"/users?{query}")[0]


def test_all_of_it_stands_in_the_openapi_document(url: str) -> None:
    _, document = got(url, in_front, "/openapi.json")
    one, page = document["paths"]["/users/{key}"]["get"], document["paths"]["/users"]["get"]

    assert {"type": "integer", "title": "Key"} == one["parameters"][0]["schema"]
    assert {"200", "404", "422"} == set(one["responses"])
    assert ["cursor", "limit", "city", "fields"] == [each["name"] for each in page["parameters"]]
    assert ["people"] == page["tags"]
    content = page["responses"]["200"]["content"]["application/json"]
    assert "#/components/schemas/Page_UserOut_" == content["schema"]["$ref"]


# Where it stands.


def with_dependency(app: FastAPI, engine: AsyncEngine) -> Any:
    View(UserOut, User, engine).route(app, "/users/{key}", dependencies=[Depends(lambda: None)])
    return app


@pytest.mark.parametrize(
    ("build", "is_bare"), [*((one, True) for one in EVERYWHERE), (with_dependency, False)]
)
def test_the_frameworks_work_per_request_is_left_out_where_it_may_be(
    url: str, build: Build, is_bare: bool
) -> None:
    scopes: list[Any] = []

    def seen(app: FastAPI, engine: AsyncEngine) -> Any:
        built = build(app, engine)

        async def outer(scope: Any, receive: Any, send: Any) -> None:
            scopes.append(scope)
            await built(scope, receive, send)

        return outer

    assert [200, 200] == [got(url, seen, "/users/1")[0] for _ in range(2)]
    # Put there by what FastAPI runs around an endpoint.
    assert [is_bare] * 2 == ["fastapi_inner_astack" not in scope for scope in scopes]


def below_prefix(app: FastAPI, engine: AsyncEngine) -> Any:
    router = APIRouter(prefix="/v1")
    View(UserOut, User, engine).route(router, "/users/{key}")
    app.include_router(router, prefix="/api")
    return app


@pytest.mark.parametrize("build", [below_prefix, lambda *of: bare(below_prefix(*of))])
def test_the_prefixes_of_routers_are_part_of_the_path(url: str, build: Build) -> None:
    assert 1 == got(url, build, "/api/v1/users/1")[1]["id"]
    assert [404] * 3 == [
        got(url, build, path)[0] for path in ("/users/1", "/v1/users/1", "/api/users/1")
    ]


def below_parameter(app: FastAPI, engine: AsyncEngine) -> Any:
    router = APIRouter()
    View(UserOut, User, engine).route(router, "/users/{key}")
    View(UserOut, User, engine).route(app, "/open/{key}")
    app.include_router(router, prefix="/teams/{team}")
    return app


@pytest.mark.parametrize("build", [below_parameter, lambda *of: bare(below_parameter(*of))])
def test_a_parameter_of_a_prefix_is_not_taken_for_the_key(url: str, build: Build) -> None:
    assert 1 == got(url, build, "/teams/2/users/1")[1]["id"]
    assert 3 == got(url, build, "/open/3")[1]["id"]


# Who may.


async def known(key: Annotated[str, Header()] = "") -> None:
    if key != "right":
        raise HTTPException(401, "Who are you?")


def guarded(app: FastAPI, engine: AsyncEngine) -> Any:
    View(UserOut, User, engine).route(app, "/users/{id}", dependencies=[Depends(known)])
    return app


def guarded_app(_: FastAPI, engine: AsyncEngine) -> Any:
    app = FastAPI(dependencies=[Depends(known)])
    View(UserOut, User, engine).route(app, "/users/{id}")
    return app


def guarded_router(app: FastAPI, engine: AsyncEngine) -> Any:
    router = APIRouter()
    View(UserOut, User, engine).route(router, "/users/{id}")
    app.include_router(router, dependencies=[Depends(known)])
    return app


def guarded_inclusion(app: FastAPI, engine: AsyncEngine) -> Any:
    inner, outer = APIRouter(), APIRouter(dependencies=[Depends(known)])
    View(UserOut, User, engine).route(inner, "/users/{id}")
    outer.include_router(inner)
    app.include_router(outer)
    return app


GUARDED = [guarded, guarded_app, guarded_router, guarded_inclusion]


@pytest.mark.parametrize("build", GUARDED)
def test_dependencies_are_asked_wherever_they_were_given(url: str, build: Build) -> None:
    assert (401, {"detail": "Who are you?"}) == got(url, build, "/users/1")
    assert 200 == got(url, build, "/users/1", key="right")[0]


@pytest.mark.parametrize("build", GUARDED)
def test_a_route_with_dependencies_is_not_answered_in_front(url: str, build: Build) -> None:
    def with_another(app: FastAPI, engine: AsyncEngine) -> Any:
        View(UserOut, User, engine).route(app, "/open/{id}")
        return bare(build(app, engine)) if build is not guarded_app else build(app, engine)

    assert 401 == got(url, with_another, "/users/1")[0]


@pytest.mark.parametrize("front", [in_front, in_front_of_router])
@pytest.mark.parametrize("is_included", [False, True])
def test_an_earlier_route_of_the_app_is_asked_first(
    url: str, front: Build, is_included: bool
) -> None:
    def build(whole: FastAPI, engine: AsyncEngine) -> Any:
        app = APIRouter() if is_included else whole

        @app.get("/users/me")
        async def me() -> str:
            return "me"

        @app.get("/seats/{anything}/1")
        async def first(anything: str) -> str:
            return f"the first of {anything}"

        if isinstance(app, APIRouter):
            whole.include_router(app)
        return front(whole, engine)

    assert (200, "me") == got(url, build, "/users/me")
    assert (200, "the first of A") == got(url, build, "/seats/A/1")
    assert 200 == got(url, build, "/seats/A/2")[0]


def test_another_method_is_what_the_framework_says_of_it(url: str) -> None:
    async def case() -> list[int]:
        async with client_of(url, in_front) as client:
            return [
                (await client.post("/users/1")).status_code,
                (await client.head("/users/1")).status_code,
            ]

    assert [405, 405] == run(case())


def test_middleware_is_not_left_out_unless_it_is_said(url: str) -> None:
    def with_middleware(app: FastAPI, engine: AsyncEngine) -> Any:
        @app.middleware("http")
        async def stamp(request: Any, call_next: Any) -> Any:
            answer = await call_next(request)
            answer.headers["stamp"] = "seen"
            return answer

        return routes(app, engine)

    async def stamps(build: Build) -> list[str | None]:
        async with client_of(url, build) as client:
            answers = [await client.get(path) for path in ("/users/1", "/docs")]
            return [answer.headers.get("stamp") for answer in answers]

    def skipping(app: FastAPI, engine: AsyncEngine) -> Any:
        return bare(with_middleware(app, engine), skip_middleware=True)

    assert ["seen", "seen"] == run(stamps(with_middleware))
    assert [None, "seen"] == run(stamps(skipping))
    with pytest.raises(DefinitionError, match="the app has middleware"):
        run(stamps(lambda app, engine: bare(with_middleware(app, engine))))


def test_an_app_without_such_routes_is_not_put_behind_anything() -> None:
    with pytest.raises(DefinitionError, match="no route that could be answered bare"):
        bare(FastAPI())


@pytest.mark.parametrize(
    ("path", "said"),
    [("/users", "has 0 parameters"), ("/users/{a}/{b}", "has 2 parameters")],
)
def test_a_path_that_does_not_fit_the_key_is_refused(path: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        View(UserOut, User, lambda: None).route(FastAPI(), path)


def test_a_filter_with_the_name_of_another_parameter_is_refused() -> None:
    view = View(UserOut, User, lambda: None, keyset=KEYSET, filters={"limit": User.id})

    with pytest.raises(DefinitionError, match="no filter called limit"):
        view.list_route(FastAPI(), "/users")


def test_a_response_can_be_made_in_an_endpoint_of_ones_own(url: str) -> None:
    def build(app: FastAPI, engine: AsyncEngine) -> Any:
        users = View(UserOut, User, engine, keyset=KEYSET)

        @app.get("/users/{id}", response_model=UserOut)
        async def read(id: int) -> Any:  # noqa: A002  # the name in the path
            return await users.respond(id)

        @app.get("/users")
        async def read_all(limit: int) -> Any:
            return await users.respond_list(limit=limit)

        return app

    assert [200, 404, 200, 400] == [
        got(url, build, path)[0]
        for path in ("/users/1", "/users/99", "/users?limit=1", "/users?limit=100")
    ]
    assert 1 == json.loads(json.dumps(got(url, build, "/users?limit=1")[1]))["items"][0]["id"]


@everywhere
def test_where_no_connection_is_free_in_time_the_client_is_told_to_come_back(
    url: str, build: Build
) -> None:
    async def case() -> tuple[int, str | None, str]:
        async with pool(url, workers=1, max_size=1, reserve=0, acquire_timeout_s=0.05) as opened:
            source: Any = opened
            transport = httpx.ASGITransport(build(FastAPI(), source))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                await client.get("/users/1")
                async with opened.connect(5.0):
                    answer = await client.get("/users/2")
            return answer.status_code, answer.headers.get("retry-after"), answer.text

    status, retry_after, said = run(case())

    assert (503, "1") == (status, retry_after)
    assert "cannot be reached in time" in said


# What is loaded.


def test_what_is_loaded_at_the_start_is_left_alone_until_the_app_ends(url: str) -> None:
    counts: dict[str, int] = {}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        counts["starting"] = gc.get_freeze_count()
        yield
        counts["running"] = gc.get_freeze_count()

    async def case() -> int:
        async with opened_engine(url) as engine:
            app = routes(FastAPI(lifespan=lifespan), engine)
            messages = iter(["lifespan.startup", "lifespan.shutdown"])
            sent: list[str] = []

            async def receive() -> Any:
                return {"type": next(messages)}

            async def send(message: Any) -> None:
                sent.append(message["type"])

            await bare(app, freeze=True)({"type": "lifespan", "state": {}}, receive, send)
            assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == sent
            return gc.get_freeze_count()

    before = gc.get_freeze_count()

    assert before == run(case())
    assert before == counts["starting"]
    assert counts["running"] > before + 1_000
