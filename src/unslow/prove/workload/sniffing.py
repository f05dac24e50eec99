"""Files of requests: which kind one is, and which of its requests go to the app."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ...model.workload import LeftOut, Plan, Request
from . import access_log, curl, har, http_file
from .request_file import METHODS, RequestFileError, quoted

READERS: Final[Mapping[str, Callable[[str, str], tuple[Request, ...]]]] = {
    "http": http_file.read,
    "har": har.read,
    "curl": curl.read,
    "access log": access_log.read,
}
"""Each kind of file, and what reads it."""

_BY_ENDING: Final = {
    ".http": "http",
    ".rest": "http",
    ".har": "har",
    ".curl": "curl",
    ".sh": "curl",
}
_LOOKED_AT_LINES: Final = 200


def read_file(path: Path, host: str = "") -> Plan:
    """The requests of a file that go to one host: the given one, or the most frequent.

    Raises:
        RequestFileError: it cannot be read, or holds no request to this host.
    """
    text = _text(path)
    requests = READERS[kind_of(path.name, text)](text, path.name)
    if not requests:
        raise RequestFileError(f"{path.name} holds no request. Write one into it: GET /path")
    return of_one_host(requests, path.name, host)


def kind_of(name: str, text: str) -> str:
    """The kind of a file, one of `READERS`, by how its name ends, or else by what is in it.

    Raises:
        RequestFileError: it looks like none of them.
    """
    ending = Path(name).suffix.lower()
    kind = _BY_ENDING.get(ending) or _kind_by_content(text)
    if kind is None:
        first = next((line for line in text.split("\n") if line.strip()), "")
        raise RequestFileError(
            f"{name} begins with {quoted(first.strip())}, which is no kind of request known here;"
            " wanted is a .http file, a HAR, curl commands or an access log. Give the file an"
            " ending that says its kind: .http, .har or .curl."
        )
    return kind


def of_one_host(requests: Sequence[Request], name: str, host: str = "") -> Plan:
    """Leaves out what goes elsewhere; a request that names no host goes to the app.

    Raises:
        RequestFileError: none goes to the given host.
    """
    counts = Counter(request.origin for request in requests if request.origin)
    wanted = {origin for origin in counts if _is_at(origin, host)} if host else set[str]()
    if host and counts and not wanted:
        found = ", ".join(f"{origin} ({count})" for origin, count in counts.most_common())
        raise RequestFileError(
            f"{name} holds no request to {host}; those in it go to {found}. Name one of these."
        )
    # Of equally many, the first in the file.
    wanted = wanted or {origin for origin, _ in counts.most_common(1)}
    chosen = ", ".join(sorted(wanted))
    return Plan(
        tuple(one for one in requests if not one.origin or one.origin in wanted),
        tuple(
            LeftOut(one.method, "", f"{one.source} goes to {one.origin}, not to {chosen}")
            for one in requests
            if one.origin and one.origin not in wanted
        ),
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RequestFileError(
            f"The file of requests {path} cannot be read: {error.strerror}. Give another one."
        ) from error
    except UnicodeDecodeError as error:
        raise RequestFileError(
            f"{path} is no text in UTF-8 (its byte {error.start} is not). Unpack it if it is"
            " compressed, or save it as UTF-8."
        ) from error


def _kind_by_content(text: str) -> str | None:
    if text.lstrip().startswith("{"):
        return "har"
    lines = [line.strip() for line in text.split("\n", _LOOKED_AT_LINES)[:_LOOKED_AT_LINES]]
    if any(map(access_log.is_entry, lines)):
        return "access log"
    # A comment begins with # in both kinds that are left.
    telling = [line for line in lines if line and not line.startswith("#")]
    if telling and telling[0].split()[0] == "curl":
        return "curl"
    if telling and (_is_request_line(telling[0]) or any(line[:3] == "###" for line in lines)):
        return "http"
    return None


def _is_request_line(line: str) -> bool:
    begins = line.startswith(("/", "@", "http://", "https://", "{{", "//"))
    return begins or line.split(maxsplit=1)[0].upper() in METHODS


def _is_at(origin: str, host: str) -> bool:
    """Whether an origin is the given one, which may come without scheme or port."""
    bare = origin.partition("://")[2]
    name = bare.rpartition(":")[0] if bare.rpartition(":")[2].isdigit() else bare
    return host.lower().rstrip("/") in (origin, bare, name)
