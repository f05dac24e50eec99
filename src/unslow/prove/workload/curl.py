"""`curl` commands, one or many, as a browser copies them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote_plus

from ...model.workload import Headers, Request
from .address import split_address
from .request_file import METHODS, fault, quoted, sendable
from .shell_words import Word, words

_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"

_SHORT_WITH_VALUE: Final[Mapping[str, str]] = {
    "-X": "--request",
    "-H": "--header",
    "-d": "--data",
    "-u": "--user",
    "-b": "--cookie",
    "-A": "--user-agent",
    "-e": "--referer",
    "-m": "--max-time",
    "-o": "--output",
    "-w": "--write-out",
}
_SHORT_WITHOUT: Final[Mapping[str, str]] = {
    "-G": "--get",
    "-I": "--head",
    "-g": "--globoff",
    "-k": "--insecure",
    "-L": "--location",
    "-s": "--silent",
    "-S": "--show-error",
    "-i": "--include",
    "-v": "--verbose",
    "-f": "--fail",
    "-N": "--no-buffer",
    "-#": "--progress-bar",
}
_TAKES_VALUE: Final = frozenset(_SHORT_WITH_VALUE.values()) | {
    "--connect-timeout",
    "--data-ascii",
    "--data-binary",
    "--data-raw",
    "--data-urlencode",
    "--json",
    "--url",
}
_TAKES_NONE: Final = frozenset(_SHORT_WITHOUT.values()) | {"--compressed", "--http1.1", "--http2"}
_SHORT: Final[Mapping[str, str]] = {**_SHORT_WITH_VALUE, **_SHORT_WITHOUT}


class _Option(NamedTuple):
    """An option, by its long name; an address is the value of `--url`."""

    name: str
    value: str
    place: str


def read(text: str, name: str) -> tuple[Request, ...]:
    """The request of each `curl` command.

    Raises:
        RequestFileError: another command, or an option that would change what is sent and is not
            known here.
    """
    return tuple(_request(command, name) for command in _commands(words(text, name)))


def _commands(script: Iterator[Word]) -> Iterator[Sequence[Word]]:
    """The commands that send: what one hands its answer to, behind a `|`, is passed over."""
    command: list[Word] = []
    is_behind_pipe = False
    for word in script:
        if not word.is_operator:
            if not is_behind_pipe:
                command.append(word)
            continue
        if command:
            yield command
        command = []
        # A line may end behind the pipe, and the next one goes on with it.
        is_behind_pipe = word.text == "|"
    if command:
        yield command


def _request(command: Sequence[Word], name: str) -> Request:
    place = f"{name}:{command[0].line}"
    if command[0].text != "curl":
        raise fault(
            place, quoted(command[0].text), "a command: curl 'ADDRESS', its address in quotes"
        )
    options = tuple(_options(command[1:], name))
    given = {option.name: option.value for option in options}
    data = _data(options)
    origin, target = _address(options, place, data if "--get" in given else None)
    body = None if data is None or "--get" in given else data.encode("utf-8", "surrogateescape")
    return Request(
        _method(given, body, place),
        target,
        sendable(_headers(options, has_body=body is not None)),
        body,
        source=place,
        origin=origin,
    )


def _options(arguments: Sequence[Word], name: str) -> Iterator[_Option]:
    waiting = iter(arguments)
    for word in waiting:
        place = f"{name}:{word.line}"
        if word.text.startswith("^"):
            raise fault(place, "the form for the prompt of Windows (^)", "the form for bash")
        if word.text.startswith("--"):
            yield _with_value(word.text, "", waiting, place)
        elif word.text.startswith("-"):
            yield from _short_options(word.text, waiting, place)
        else:
            yield _Option("--url", word.text, place)


def _short_options(text: str, waiting: Iterator[Word], place: str) -> Iterator[_Option]:
    """`-sS`, `-XPOST`, `-sXPOST`: letters, of which the first that takes a value ends them."""
    for at, letter in enumerate(text[1:], 2):
        long = _SHORT.get(f"-{letter}")
        if long is None:
            raise _unknown(f"-{letter}", place)
        if long in _TAKES_VALUE:
            yield _with_value(long, text[at:], waiting, place)
            return
        yield _Option(long, "", place)


def _with_value(name: str, value: str, waiting: Iterator[Word], place: str) -> _Option:
    if name in _TAKES_NONE:
        return _Option(name, "", place)
    if name not in _TAKES_VALUE:
        raise _unknown(name, place)
    if not value:
        word = next(waiting, None)
        if word is None:
            raise fault(place, f"{name} as the last word", f"the value of {name} behind it")
        value = word.text
    if name.startswith(("--data", "--json")) and name != "--data-raw" and value.startswith("@"):
        raise fault(place, f"{name} with a file, {quoted(value)}", "the data itself")
    return _Option(name, value, place)


def _unknown(option: str, place: str) -> Exception:
    known = " ".join(sorted(_TAKES_VALUE | _TAKES_NONE))
    return fault(
        place,
        f"the option {quoted(option.partition('=')[0])}, which is not known here",
        f"a command without it; known are {known}",
    )


def _method(given: Mapping[str, str], body: bytes | None, place: str) -> str:
    usual = "HEAD" if "--head" in given else "GET" if body is None else "POST"
    method = given.get("--request", usual).upper()
    if method not in METHODS:
        raise fault(place, f"the method {quoted(method)}", f"one of {', '.join(METHODS)}")
    return method


def _address(options: Sequence[_Option], place: str, query: str | None) -> tuple[str, str]:
    addresses = [option for option in options if option.name == "--url"]
    if len(addresses) != 1:
        raise fault(place, f"{len(addresses)} addresses in one command", "one address")
    text = addresses[0].value
    # curl reads [] and {} as patterns; browsers write a backslash before those that are none.
    for sign in "[]{}":
        text = text.replace(f"\\{sign}", sign)
    text = text.partition("#")[0] if "://" in text else f"http://{text.partition('#')[0]}"
    if query:
        text += f"{'&' if '?' in text else '?'}{query}"
    try:
        return split_address(text)
    except ValueError as error:
        got = f"the address {quoted(addresses[0].value)}"
        raise fault(addresses[0].place, got, str(error)) from error


def _data(options: Sequence[_Option]) -> str | None:
    """All that is to be sent as one text; what `--json` gives is put together as it is."""
    parts: list[str] = []
    for option in options:
        if option.name == "--json":
            parts = ["".join((*parts, option.value))]
        elif option.name == "--data-urlencode":
            parts.append(_encoded(option))
        elif option.name.startswith("--data"):
            parts.append(option.value)
    return "&".join(parts) if parts else None


def _encoded(option: _Option) -> str:
    name, sign, value = option.value.partition("=")
    if not sign and "@" in name:
        raise fault(option.place, "--data-urlencode with a file", "the data itself")
    if not sign:
        return quote_plus(name)
    return f"{name}={quote_plus(value)}" if name else quote_plus(value)


def _headers(options: Sequence[_Option], *, has_body: bool) -> Headers:
    headers = [header for option in options for header in _header(option)]
    cookies = [_cookie(option) for option in options if option.name == "--cookie"]
    if cookies:
        headers.append(("Cookie", "; ".join(cookies)))
    # Also those that it takes out, by naming them without a value.
    named = {
        option.value.partition(":")[0].strip().lower()
        for option in options
        if option.name == "--header"
    }
    is_json = any(option.name == "--json" for option in options)
    if has_body and "content-type" not in named:
        headers.append(("Content-Type", _JSON if is_json else _FORM))
    if is_json and "accept" not in named:
        headers.append(("Accept", _JSON))
    return tuple(headers)


def _header(option: _Option) -> Iterator[tuple[str, str]]:
    if option.name == "--header":
        yield from _own_header(option)
    elif option.name == "--user":
        yield "Authorization", _basic(option)
    elif option.name == "--user-agent":
        yield "User-Agent", option.value
    elif option.name == "--referer":
        yield "Referer", option.value


def _own_header(option: _Option) -> Iterator[tuple[str, str]]:
    name, colon, value = option.value.partition(":")
    if colon and value.strip():
        yield name.strip(), value.strip()
    elif not colon and name.endswith(";"):
        # This is how curl spells a header without a value.
        yield name[:-1].strip(), ""
    elif not colon:
        # Not shown: it may be a password or a token that slipped in.
        got = f"a header of {len(name)} characters without a colon"
        raise fault(option.place, got, "a header: -H 'Name: value'")


def _basic(option: _Option) -> str:
    if ":" not in option.value:
        raise fault(option.place, "--user without a password", "-u 'user:password'")
    credentials = option.value.encode("utf-8", "surrogateescape")
    return f"Basic {base64.b64encode(credentials).decode()}"


def _cookie(option: _Option) -> str:
    if "=" not in option.value:
        raise fault(option.place, "--cookie with a file", "the cookies: -b 'name=value'")
    return option.value
