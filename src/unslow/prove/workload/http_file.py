"""`.http` files, as editors send them: requests between lines of `###`."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ...model.workload import Request
from .address import split_address
from .request_file import METHODS, fault, quoted, sendable

_SEPARATOR: Final = "###"
_COMMENTS: Final = ("#", "//")
_VARIABLE: Final = re.compile(r"@([\w.-]+)\s*=\s*(.*)")
_REFERENCE: Final = re.compile(r"\{\{\s*([^{}\s\"][^{}\"]*?)\s*\}\}")
_VERSION: Final = re.compile(r"\s+HTTP/[\d.]+$", re.IGNORECASE)
_HEADER: Final = re.compile(r"([!#$%&'*+.^`|~\w-]+)\s*:(.*)", re.ASCII)
_HOST: Final = re.compile(r"[\w.-]+:\d+(?=[/?]|$)|localhost(?=[/?]|$)|[\w-]+(\.[\w-]+)+(?=[/?]|$)")
_HANDLER: Final = re.compile(r">\s*\{%|>\s*\S+\.js\b|>>!?\s|<>\s")
_FILE: Final = re.compile(r"<(@\w*)?\s+[\w./~\\-]")


class _Line(NamedTuple):
    place: str
    text: str


class _Block(NamedTuple):
    """The lines between two separators, by what they are for."""

    variables: Sequence[_Line]
    address: Sequence[_Line]
    """The request line, and the lines that carry its query on; empty where there is no request."""
    headers: Sequence[_Line]
    body: Sequence[_Line]


def read(text: str, name: str, values: Mapping[str, str] | None = None) -> tuple[Request, ...]:
    """The requests of a `.http` file.

    Args:
        text: What is in the file.
        name: What the file is called in errors and in each request's source.
        values: Variables that are set elsewhere; those in the file win.

    Raises:
        RequestFileError: a line is not what stands in such a file.
    """
    blocks = [_parts(lines) for lines in _between_separators(text, name)]
    variables = dict(values or {})
    for block in blocks:
        variables.update(_variable(line) for line in block.variables)
    return tuple(_request(block, variables) for block in blocks if block.address)


def _between_separators(text: str, name: str) -> Iterator[list[_Line]]:
    block: list[_Line] = []
    # Not `splitlines`: it also splits at characters that may stand in a body.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if line.startswith(_SEPARATOR):
            yield block
            block = []
        else:
            block.append(_Line(f"{name}:{number}", line))
    yield block


def _parts(lines: Sequence[_Line]) -> _Block:
    at = _first_of_request(lines)
    variables = [line for line in lines[:at] if line.text.lstrip().startswith("@")]
    end = at + 1
    while end < len(lines) and lines[end].text.lstrip().startswith(("?", "&")):
        end += 1
    blank = next((n for n in range(end, len(lines)) if not lines[n].text.strip()), len(lines))
    headers = [line for line in lines[end:blank] if not _is_comment(line)]
    return _Block(variables, lines[at:end], headers, lines[blank + 1 :])


def _first_of_request(lines: Sequence[_Line]) -> int:
    script_from = ""
    for at, line in enumerate(lines):
        text = line.text.strip()
        if script_from or text.startswith("< {%"):
            script_from = "" if text.endswith("%}") else script_from or line.place
        elif text and not text.startswith("@") and not _is_comment(line):
            return at
    if script_from:
        raise fault(script_from, "a script that does not end", "a line with its end, %}")
    return len(lines)


def _is_comment(line: _Line) -> bool:
    return line.text.lstrip().startswith(_COMMENTS)


def _variable(line: _Line) -> tuple[str, str]:
    match = _VARIABLE.fullmatch(line.text.strip())
    if match is None:
        # Only the first word: a value may follow, without its equals sign.
        raise fault(line.place, quoted(line.text.split()[0]), "a variable: @name = value")
    return match[1], match[2]


def _request(block: _Block, variables: Mapping[str, str]) -> Request:
    method, origin, target = _asked_for(block.address, variables)
    headers = tuple(_header(line, variables) for line in block.headers)
    place = block.address[0].place
    body = _body(block.body, _content_type(headers), variables)
    return Request(method, target, sendable(headers), body, source=place, origin=origin)


def _asked_for(lines: Sequence[_Line], variables: Mapping[str, str]) -> tuple[str, str, str]:
    first = _filled(lines[0], variables).strip()
    further = "".join(_filled(line, variables).strip() for line in lines[1:])
    whole = _VERSION.sub("", first) + further
    word, _, address = whole.partition(" ")
    try:
        if word.upper() in METHODS:
            return word.upper(), *split_address(_with_scheme(address.strip()))
        return "GET", *split_address(whole)
    except ValueError as error:
        wanted = f"a method ({', '.join(METHODS)}) and {error}"
        raise fault(lines[0].place, quoted(whole), wanted) from error


def _with_scheme(address: str) -> str:
    return f"http://{address}" if _HOST.match(address) else address


def _header(line: _Line, variables: Mapping[str, str]) -> tuple[str, str]:
    match = _HEADER.fullmatch(_filled(line, variables).strip())
    if match is None:
        # Not shown: it may be a password or a token that slipped in.
        got = f"a line of {len(line.text.strip())} characters below the request line"
        raise fault(line.place, got, "a header, Name: value, or an empty line before the body")
    name, value = match[1], match[2].strip()
    return name, _basic(value) if name.lower() == "authorization" else value


def _basic(value: str) -> str:
    """The value of an `Authorization`, with user and password encoded where they stand open."""
    scheme, _, credentials = value.partition(" ")
    parts = re.fullmatch(r"([^\s:]+)(?:\s+|:)(.*)", credentials.strip())
    if scheme.lower() != "basic" or parts is None:
        return value
    return f"{scheme} {base64.b64encode(f'{parts[1]}:{parts[2]}'.encode()).decode()}"


def _content_type(headers: Sequence[tuple[str, str]]) -> str:
    return next((value.lower() for name, value in headers if name.lower() == "content-type"), "")


def _body(lines: Sequence[_Line], content_type: str, variables: Mapping[str, str]) -> bytes | None:
    handler = next((n for n, line in enumerate(lines) if _HANDLER.match(line.text)), len(lines))
    is_multipart = content_type.startswith("multipart/")
    written = [line for line in lines[:handler] if line.text.strip()]
    for line in written if is_multipart else written[:1]:
        if _FILE.match(line.text):
            raise fault(line.place, "a body that stands in another file", "the body itself")
    texts = [_filled(line, variables) for line in lines[:handler]]
    while texts and not texts[-1].strip():
        texts.pop()
    if not texts:
        return None
    if content_type.startswith("application/x-www-form-urlencoded"):
        return "".join(text.strip() for text in texts).encode()
    return ("\r\n" if is_multipart else "\n").join(texts).encode(errors="surrogateescape")


def _filled(line: _Line, variables: Mapping[str, str], inside: tuple[str, ...] = ()) -> str:
    """A line with the values of its variables; `inside` are those whose values are being filled."""

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("$"):
            raise fault(
                line.place,
                f"{{{{{name}}}}}, which only an editor fills in",
                "a value of your own: the same request is sent before and after a change",
            )
        if name not in variables:
            raise fault(
                line.place,
                f"{{{{{name}}}}}, which has no value",
                f"a line in the file that gives it one: @{name} = ...",
            )
        if name in inside:
            circle = " -> ".join((*inside, name))
            raise fault(line.place, f"variables that need each other ({circle})", "a value")
        return _filled(_Line(line.place, variables[name]), variables, (*inside, name))

    return _REFERENCE.sub(value_of, line.text)
