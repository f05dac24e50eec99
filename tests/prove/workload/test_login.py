from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import FastAPI, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from tests.prove.workload.serving import serving
from unslow.model.workload import Request as WorkloadRequest
from unslow.prove.workload.login import (
    HeaderError,
    LoginError,
    header,
    headers_from,
    log_in,
    login,
)
from unslow.prove.workload.sending import open_client, send

SECRET = "tulip-4711"
FORM = ("username=alice", f"password={SECRET}")

shop = FastAPI()


@shop.post("/token")
async def token(
    username: Annotated[str, Form()], password: Annotated[str, Form()]
) -> dict[str, object]:
    if (username, password) != ("alice", SECRET):
        raise HTTPException(401, "Incorrect username or password")
    return {"access_token": "t1", "deep": {"tokens": ["t2"]}, "expires": 3, "token_type": "bearer"}


@shop.post("/session")
async def session(response: Response) -> str:
    response.set_cookie("session", "s1", secure=True, httponly=True)
    response.set_cookie("theme", "dark", max_age=60)
    response.delete_cookie("old")
    return "not json in parts"


@shop.post("/page")
async def page() -> Response:
    response = RedirectResponse("/", 303)
    response.set_cookie("session", "s2")
    return response


@shop.post("/elsewhere")
async def elsewhere() -> Response:
    return RedirectResponse("/session", 303)


@shop.get("/text")
async def text() -> Response:
    return Response("t3", media_type="text/plain")


@shop.get("/me")
async def me(request: Request) -> dict[str, str]:
    return {name: request.headers.get(name, "") for name in ("authorization", "cookie")}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(shop) as url:
        yield url


def test_the_options_make_a_request_that_does_not_show_its_values() -> None:
    one = login("post /token?x=1", FORM, "access_token")

    assert ("POST", "/token?x=1", f"username=alice&password={SECRET}".encode()) == (
        one.request.method,
        one.request.target,
        one.request.body,
    )
    assert (("Content-Type", "application/x-www-form-urlencoded"),) == one.request.headers
    assert SECRET not in repr(one)


@pytest.mark.parametrize(
    ("option", "form", "says"),
    [
        ("/token", (), r"--login is '/token'; wanted is a method and a path"),
        ("POST token", (), r"such as --login 'POST /token'"),
        ("POST http://x/token", (), r"a path of the app"),
        ("FETCH /token", (), r"a method"),
        (
            "POST /token",
            (SECRET,),
            r"--form holds 10 characters that are no field; wanted is NAME=",
        ),
    ],
)
def test_an_option_of_another_form_is_said(option: str, form: tuple[str, ...], says: str) -> None:
    with pytest.raises(LoginError, match=says) as error:
        login(option, form)

    assert SECRET not in str(error.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("option", "form", "token_from", "authorization", "cookie"),
    [
        ("POST /token", FORM, "access_token", "Bearer t1", ""),
        ("POST /token", FORM, "deep.tokens.0", "Bearer t2", ""),
        ("POST /token", FORM, "/deep/tokens/0", "Bearer t2", ""),
        ("POST /session", (), "", "", "session=s1; theme=dark"),
        ("POST /page", (), "", "", "session=s2"),
    ],
)
async def test_a_login_gives_the_headers_that_later_requests_are_let_in_with(
    url: str, option: str, form: tuple[str, ...], token_from: str, authorization: str, cookie: str
) -> None:
    async with open_client(url) as client:
        headers = await log_in(client, login(option, form, token_from))
        kept = []
        await send(
            client,
            WorkloadRequest("GET", "/me"),
            extra=headers,
            keep=lambda _headers, body: kept.append(body),
        )

    seen = {"authorization": authorization, "cookie": cookie}
    assert [str(seen).replace("'", '"').replace('": "', '":"').replace(", ", ",")] == [
        body.decode() for body in kept
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("option", "form", "token_from", "says"),
    [
        (
            "POST /token?a=b",
            ("username=alice", "password=x"),
            "access_token",
            r'login POST /token was answered 401 \("\{"detail":"Incorrect username or password"',
        ),
        ("POST /nowhere", (), "", r"answered 404 .*give it with --form"),
        ("POST /elsewhere", (), "", r"answered 303"),
        ("POST /token", FORM, "token", r"has no token: 'token' is not among access_token, deep, e"),
        ("POST /token", FORM, "deep.tokens.7", r"'7' is not among the 1 items of a list"),
        ("POST /token", FORM, "access_token.x", r"'x' is not among what is no object"),
        ("POST /token", FORM, "expires", r"expires in the answer .* is no text"),
        (
            "GET /text",
            (),
            "access_token",
            r"answered with text/plain.*, and --token-from looks into",
        ),
        ("GET /text", (), "", r"answered 200 without a cookie.*--token-from access_token"),
    ],
)
async def test_a_login_that_fails_is_said_without_its_values(
    url: str, option: str, form: tuple[str, ...], token_from: str, says: str
) -> None:
    async with open_client(url) as client:
        with pytest.raises(LoginError, match=says) as error:
            await log_in(client, login(option, form, token_from))

    assert SECRET not in str(error.value)
    assert "t1" not in str(error.value)


@pytest.mark.anyio
async def test_an_app_that_is_not_there_is_said() -> None:
    with serving(shop) as gone:
        pass

    async with open_client(gone) as client:
        with pytest.raises(LoginError, match=r"was not answered \(ConnectError\)"):
            await log_in(client, login("POST /token"))


def test_a_header_is_a_name_a_colon_and_a_value() -> None:
    assert ("Authorization", "Bearer a:b") == header("Authorization: Bearer a:b")
    assert ("X-Empty", "") == header(" X-Empty :")


def test_headers_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("# mine\n\nAuthorization: Bearer x\nX-Tenant: 7\n")

    assert (("Authorization", "Bearer x"), ("X-Tenant", "7")) == headers_from(file)


def test_what_is_no_header_is_said_with_its_line_and_not_shown(tmp_path: Path) -> None:
    file, binary = tmp_path / "headers", tmp_path / "binary"
    file.write_text(f"X-Tenant: 7\n{SECRET}\n")
    binary.write_bytes(b"\xff\xff")

    with pytest.raises(HeaderError, match=r"^headers:2 holds 10 characters that are") as error:
        headers_from(file)
    with pytest.raises(HeaderError, match="no text in UTF-8"):
        headers_from(binary)
    with pytest.raises(HeaderError, match="No such file"):
        headers_from(tmp_path / "missing")

    assert SECRET not in str(error.value)
