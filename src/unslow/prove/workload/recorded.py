"""A file of recorded requests: one JSON object a line, readable by its owner only.

`{"format": 1, "method": "POST", "route": "/users/{user_id}/posts", "target": "/users/7/posts?x=1",
"headers": [["content-type", "application/json"]], "body": "e30=", "status": 201, "sent_count": 3,
"test": "tests/test_posts.py::test_create"}`

`body` is base64. Of requests that are the same byte for byte one stands there, the first that was
answered with a status below 400 if there is one, and `sent_count` says how many they were.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from ...errors import UnslowError
from ...model.workload import Headers, LeftOut, Plan, Request
from ...record.exchanges import Exchanged, read_part
from .request_file import METHODS, fault, sendable

FORMAT: Final = 1
FILE: Final = "recorded.jsonl"

_NOT_KEPT: Final = frozenset({"proxy-authenticate", "proxy-authorization", "unslow"})
"""What proxies say to one another, and what a check of ours says to the agent."""

_NOT_SENT_AGAIN: Final = "host"
_LEAST_ERROR: Final = 400
_json = json.JSONEncoder(separators=(",", ":"))


class RecordedUnwritableError(UnslowError):
    """The file for recorded requests cannot be written."""


class RecordedMissingError(UnslowError):
    """There is no file of recorded requests that can be read."""


class Written(NamedTuple):
    """What came of the requests that were sent."""

    requests_count: int
    """Those in the file."""
    sent_count: int
    """Those that were sent, the same ones counted each time."""
    left_out_count: int
    """Those whose body was longer than what is kept."""


@dataclass(slots=True)
class _Fold:
    """Requests that are the same."""

    position: int
    """Of the one that stands for them."""
    is_good: bool = False
    """Whether that one was answered with a status below 400."""
    count: int = 0

    def add(self, position: int, status: int) -> None:
        self.count += 1
        if not self.is_good and 0 < status < _LEAST_ERROR:
            self.position, self.is_good = position, True


def write_recorded(file: Path, parts: Sequence[Path]) -> Written:
    """Writes the requests that several processes kept to one file, each distinct one once.

    A file that was there before is replaced, unless there is no request to write. The parts are
    read twice: so no more than one request is held in memory.

    Raises:
        RecordedUnwritableError: the file cannot be written.
    """
    folds: dict[bytes, _Fold] = {}
    sent_count = left_out_count = 0
    for position, one in enumerate(_all(parts)):
        sent_count += 1
        if one.body is None:
            left_out_count += 1
            continue
        folds.setdefault(_key(one), _Fold(position)).add(position, one.status)
    if folds:
        _replace(file, _lines(parts, {fold.position: fold.count for fold in folds.values()}))
    return Written(len(folds), sent_count, left_out_count)


def _all(parts: Iterable[Path]) -> Iterator[Exchanged]:
    for part in parts:
        yield from read_part(part)


def _key(one: Exchanged) -> bytes:
    what = one.method, one.target, _headers(one), one.body
    return blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _headers(one: Exchanged) -> Headers:
    """The headers without those that hold for one connection."""
    left_out = set(_NOT_KEPT)
    for name, value in one.headers:
        if name.lower() == "connection":
            left_out.update(part.strip().lower() for part in value.split(","))
    return tuple(pair for pair in sendable(one.headers) if pair[0].lower() not in left_out)


def _lines(parts: Sequence[Path], counts: dict[int, int]) -> Iterator[str]:
    for position, one in enumerate(_all(parts)):
        if position in counts:
            yield _line(one, counts[position])


def _line(one: Exchanged, sent_count: int) -> str:
    return _json.encode(
        {
            "format": FORMAT,
            "method": one.method,
            "route": one.route,
            "target": one.target,
            "headers": _headers(one),
            "body": base64.b64encode(one.body or b"").decode("ascii"),
            "status": one.status,
            "sent_count": sent_count,
            "test": one.label,
        }
    )


def _replace(file: Path, lines: Iterable[str]) -> None:
    """Writes a file beside, and puts it in the place of the old one when it is whole."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "w", encoding="ascii") as new:
                new.writelines(f"{line}\n" for line in lines)
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise RecordedUnwritableError(
            f"Cannot write the recorded requests to {file}: {error}. Give a file that can be"
            " written."
        ) from error


def recorded_plan(file: Path) -> Plan:
    """What a check sends of a file's requests, and what it does not.

    Raises:
        RecordedMissingError: the file cannot be read.
        RequestFileError: a line of it is not what it must be.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordedMissingError(
            f"No recorded requests can be read from {file}: {error}. Record some with your tests:"
            " pytest --unslow-record"
        ) from error
    return read(text, file.name)


def read(text: str, name: str) -> Plan:
    """The requests in a text; what was answered with an error when it was recorded is left out.

    Raises:
        RequestFileError: a line is not what it must be.
    """
    requests: list[Request] = []
    left_out: dict[LeftOut, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            request, status = _request(f"{name}:{number}", line)
            if why := _why_not(request, status):
                left_out[LeftOut(request.method, request.route, why)] = None
            else:
                requests.append(request)
    return Plan(tuple(requests), tuple(left_out))


def _why_not(request: Request, status: int) -> str:
    if request.method not in METHODS:
        return "the method is none that is sent"
    if status == 0:
        return "it had no answer when it was recorded"
    return f"it was answered with {status} when it was recorded" if status >= _LEAST_ERROR else ""


def _request(place: str, line: str) -> tuple[Request, int]:
    try:
        told = json.loads(line)
        if told["format"] != FORMAT:
            raise fault(place, f"format {told['format']!r}", f"format {FORMAT}: record again")
        headers = tuple((str(header), str(value)) for header, value in told["headers"])
        request = Request(
            _checked(told, "method", str),
            _checked(told, "target", str),
            tuple(one for one in headers if one[0].lower() != _NOT_SENT_AGAIN),
            base64.b64decode(_checked(told, "body", str), validate=True) or None,
            source=_checked(told, "test", str) or place,
            route=_checked(told, "route", str),
            times_count=_checked(told, "sent_count", int),
        )
        return request, _checked(told, "status", int)
    except (ValueError, KeyError, TypeError) as error:
        got = f"no recorded request ({type(error).__name__}: {error})"
        raise fault(place, got, "a line as `pytest --unslow-record` writes it") from error


def _checked(told: dict[str, Any], name: str, kind: type) -> Any:
    value = told[name]
    if type(value) is not kind:
        raise TypeError(f"{name} is no {kind.__name__}")
    return value
