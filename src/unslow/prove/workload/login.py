"""Who asks: headers that the user gave, and a login that is sent before everything else."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import httpx

from ...errors import UnslowError
from ...model.workload import Headers, Request
from .address import split_address
from .request_file import METHODS, quoted
from .sending import first_line, prepared

_HEADER: Final = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:(.*)")
_ENDED: Final = re.compile(r"\s*max-age\s*=\s*(0|-\d+)\s*", re.IGNORECASE)
_MOST_NAMES: Final = 10


class HeaderError(UnslowError):
    """A header that the user gave cannot be read as one."""


class LoginError(UnslowError):
    """The login cannot be sent as it was given, or the app did not let it in."""


@dataclass(frozen=True, slots=True)
class Login:
    """What is sent to be let in, and where in the answer the token is."""

    request: Request
    token_from: str = ""
    """The way to the token, such as `access_token` or `data.tokens.0`; empty for cookies only."""


def header(text: str, source: str = "--header") -> tuple[str, str]:
    """One header from `Name: value`.

    Raises:
        HeaderError: it has another form.
    """
    match = _HEADER.fullmatch(text)
    if match is None:
        # Not shown: a token whose name was forgotten looks like this.
        raise HeaderError(
            f"{source} holds {len(text)} characters that are no header; wanted is Name: value,"
            " such as Authorization: Bearer TOKEN. Put the header's name and a colon before it."
        )
    return match[1], match[2].strip()


def headers_from(path: Path) -> Headers:
    """The headers in a file, one `Name: value` a line; empty lines and those with # do not count.

    Raises:
        HeaderError: it cannot be read, or a line has another form.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise HeaderError(
            f"The file of headers {path} cannot be read: {error.strerror}. Give another one."
        ) from error
    except UnicodeDecodeError as error:
        raise HeaderError(f"{path} is no text in UTF-8. Save it as UTF-8.") from error
    return tuple(
        header(line, f"{path.name}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    )


def login(option: str, form: Sequence[str] = (), token_from: str = "") -> Login:
    """A login from its options: `--login 'POST /token' --form k=v --token-from access_token`.

    Raises:
        LoginError: one of them has another form.
    """
    method, _, address = option.strip().partition(" ")
    method, address = method.upper(), address.strip()
    if method not in METHODS or not address.startswith("/"):
        raise LoginError(
            f"--login is {quoted(option)}; wanted is a method and a path of the app, such as"
            " --login 'POST /token'."
        )
    fields = [_field(one) for one in form]
    _, target = split_address(address)
    return Login(
        Request(
            method,
            target,
            (("Content-Type", "application/x-www-form-urlencoded"),) if fields else (),
            urlencode(fields).encode() if fields else None,
            source="--login",
        ),
        token_from.strip(),
    )


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        # Not shown: it may be a password.
        raise LoginError(
            f"--form holds {len(text)} characters that are no field; wanted is NAME=VALUE, such as"
            " --form username=alice."
        )
    return name, value


async def log_in(client: httpx.AsyncClient, one: Login) -> Headers:
    """Sends a login, and gives the headers that later requests are let in with.

    Raises:
        LoginError: it was not answered, not let in, or the answer has no token and no cookie.
    """
    try:
        answer = await client.send(prepared(client, one.request), follow_redirects=False)
    except httpx.HTTPError as error:
        raise LoginError(
            f"The login {_name(one)} was not answered ({type(error).__name__}). Look whether the"
            " app runs, and whether the path is right."
        ) from error
    return headers_after(one, answer)


def headers_after(one: Login, answer: httpx.Response) -> Headers:
    """The headers that the answer to a login gives to later requests.

    Raises:
        LoginError: the app did not let it in, or the answer has no token and no cookie.
    """
    cookies = _cookies(answer)
    # A form in a page is answered with the way to the next page, and the session's cookie.
    if not answer.is_success and not (answer.is_redirect and cookies):
        line = first_line(answer.headers.get("content-type", ""), answer.content)
        raise LoginError(
            f'The login {_name(one)} was answered {answer.status_code} ("{line}"); wanted is 2xx.'
            " Look at what the app wants to be sent, and give it with --form NAME=VALUE."
        )
    token = (("Authorization", f"Bearer {_token(one, answer)}"),) if one.token_from else ()
    if not token and not cookies:
        raise LoginError(
            f"The login {_name(one)} was answered {answer.status_code} without a cookie. Say where"
            " in the answer the token is, such as --token-from access_token."
        )
    return (*token, ("Cookie", cookies)) if cookies else token


def _name(one: Login) -> str:
    return f"{one.request.method} {one.request.target.partition('?')[0]}"


def _cookies(answer: httpx.Response) -> str:
    """The cookies of an answer, as one header.

    Not by way of a jar: it would hold those that are marked as secure back from an app that is
    asked without TLS.
    """
    kept: dict[str, str] = {}
    for line in answer.headers.get_list("set-cookie"):
        pair, *attributes = line.split(";")
        name, _, value = pair.partition("=")
        is_taken_back = any(_ENDED.fullmatch(one) for one in attributes)
        kept[name.strip()] = "" if is_taken_back else value.strip(' "')
    return "; ".join(f"{name}={value}" for name, value in kept.items() if value)


def _token(one: Login, answer: httpx.Response) -> str:
    try:
        found = json.loads(answer.content)
    except ValueError as error:
        kind = answer.headers.get("content-type", "an answer without a type")
        raise LoginError(
            f"The login {_name(one)} was answered with {kind}, and --token-from looks into JSON."
            " Leave it out if the app sets a cookie."
        ) from error
    for part in one.token_from.strip("/").replace("/", ".").split("."):
        below = _below(found, part)
        if below is None:
            raise LoginError(
                f"The answer to the login {_name(one)} has no {one.token_from}: {part!r} is not"
                f" among {_names(found)}. Correct --token-from."
            )
        found = below
    if not isinstance(found, str) or not found:
        raise LoginError(
            f"{one.token_from} in the answer to the login {_name(one)} is no text. Correct"
            " --token-from."
        )
    return found


def _below(found: object, part: str) -> object:
    if isinstance(found, dict):
        return found.get(part)
    is_there = isinstance(found, list) and part.isdigit() and int(part) < len(found)
    return found[int(part)] if isinstance(found, list) and is_there else None


def _names(found: object) -> str:
    if isinstance(found, dict):
        return ", ".join(sorted(map(str, found))[:_MOST_NAMES]) or "no names at all"
    return f"the {len(found)} items of a list" if isinstance(found, list) else "what is no object"
