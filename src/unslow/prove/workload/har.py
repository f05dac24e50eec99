"""HAR: what a browser saved of its network traffic."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlencode

from ...model.workload import Headers, Request
from .address import split_address
from .request_file import METHODS, fault, quoted, sendable

_OF_THE_PAGE: Final = frozenset({"font", "image", "media", "script", "stylesheet", "websocket"})
_NOT_SENT_AGAIN: Final = frozenset({"cookie", "host"})

Object = Mapping[str, object]


def read(text: str, name: str) -> tuple[Request, ...]:
    """The requests of a HAR file, to all hosts, without what a page loads to be drawn.

    Cookies stay out: they ended with the browser's session, and a login of ours brings new ones.

    Raises:
        RequestFileError: it is no HAR, or an entry is not whole.
    """
    entries = _entries(text, name)
    return tuple(
        _request(f"{name} entry {number}", entry)
        for number, entry in enumerate(entries, 1)
        if not _is_of_the_page(entry)
    )


def _entries(text: str, name: str) -> Iterator[Object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise fault(f"{name}:{line}", f"what is no JSON ({error})", "a HAR, saved whole") from error
    log = document.get("log") if isinstance(document, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise fault(f"{name}:1", "JSON without log.entries", "a HAR, as a browser saves it")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("request"), dict):
            raise fault(f"{name} entry {number}", "no request", "an object with a request in it")
        yield entry


def _is_of_the_page(entry: Object) -> bool:
    kind = entry.get("_resourceType")
    if isinstance(kind, str):
        return kind.lower() in _OF_THE_PAGE
    content_type = _text(_object(_object(entry, "response"), "content"), "mimeType")
    drawn = ("image/", "font/", "video/", "audio/", "text/css", "text/javascript")
    return content_type.startswith((*drawn, "application/javascript"))


def _request(place: str, entry: Object) -> Request:
    asked = _object(entry, "request")
    method, address = _text(asked, "method").upper(), _text(asked, "url")
    if method not in METHODS:
        raise fault(place, f"the method {quoted(method)}", f"one of {', '.join(METHODS)}")
    try:
        origin, target = split_address(address)
    except ValueError as error:
        raise fault(place, f"the url {quoted(address)}", str(error)) from error
    headers = sendable(tuple(_headers(place, asked)))
    return Request(method, target, headers, _body(place, asked), source=place, origin=origin)


def _headers(place: str, asked: Object) -> Iterator[tuple[str, str]]:
    for name, value in _pairs(place, asked, "headers"):
        # What begins with a colon stands in HTTP/2 for the request line.
        if not name.startswith(":") and name.lower() not in _NOT_SENT_AGAIN:
            yield name, value


def _pairs(place: str, holder: Object, key: str) -> Headers:
    pairs = holder.get(key) or []
    if not isinstance(pairs, list) or not all(isinstance(pair, dict) for pair in pairs):
        raise fault(place, f"{key} that are no list of objects", "name and value of each")
    return tuple((_text(pair, "name"), _text(pair, "value")) for pair in pairs)


def _body(place: str, asked: Object) -> bytes | None:
    posted = _object(asked, "postData")
    text = _text(posted, "text")
    if not text:
        fields = _pairs(place, posted, "params")
        return urlencode(fields).encode() if fields else None
    if posted.get("encoding") != "base64":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise fault(place, f"a body that is no base64 ({error})", "the body, encoded") from error


def _object(holder: Object, key: str) -> Object:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def _text(holder: Object, key: str) -> str:
    value = holder.get(key)
    # JSON can spell halves of characters, which nothing can be sent as.
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""
