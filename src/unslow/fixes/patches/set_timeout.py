"""Bounds the wait for another service: a timeout on the call, or on the client of its function.

Changes: `timeout=None` becomes a number of seconds, and a call that has no `timeout` gets one.
Does not pay: it makes nothing faster. It ends requests that would hang, so whoever calls has to
answer something when the timeout is raised; and a good answer that takes longer is lost.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from math import ceil
from typing import Final, NamedTuple

import libcst as cst

from ...model.finding import Finding
from ...model.proof import Arm
from ...model.trace import REMOTE, Place, Trace
from ...numbers import milliseconds
from .advice import told, where
from .arguments import is_open, with_argument
from .clients import AIOHTTP, VERBS, Clients
from .imports import with_import
from .keyword_arguments import named_argument
from .layout import inserted
from .names import Names
from .patch import CannotWriteError, Edit, Patch, Subject
from .source import Source, under, within
from .width import width_of

_FIX: Final = "set-timeout"
_TIMEOUT: Final = "timeout"
_LEAST_S: Final = 5
"""As httpx has it where nothing is said."""
_STEP_S: Final = 5
_MARGIN: Final = 2
"""Times what nearly all answers took: what is slow on one day in a hundred is to come still."""
_NEARLY_ALL: Final = 0.95
_FEWEST_CALLS: Final = 20
_MAIL: Final = "smtp "
_MAKES_MAIL: Final = ("SMTP", "SMTP_SSL", "LMTP")
_PLACES_BEFORE_TIMEOUT: Final = 2
"""Host and port: what follows them is another thing in each class of smtplib."""
_CLASS: Final = "ClientTimeout"
_TIMEOUT_CLASSES: Final = ("Timeout", _CLASS)
_BOUND_BY: Final = frozenset({_TIMEOUT, "read", "total"})
"""Of a timeout's parts those that bound the wait for the answer."""


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The timeout, as it would be written for most clients."""
    return (Arm(_FIX, f"timeout={_seconds(subject):.1f}"),)


def write(subject: Subject, arm: Arm) -> Patch:  # noqa: ARG001  # each fix is written so
    """A timeout where it is certain which call it is and how it takes one; else advice."""
    place = subject.finding.place
    if place is None:
        return Patch(advice=_by_hand(subject, "its line is not known"))
    text = subject.read(place.path)
    try:
        if text is None:
            raise CannotWriteError("the file cannot be read, or has changed since")
        after = _Writing(subject, place, Source(place.path, text)).text()
    except CannotWriteError as error:
        return Patch(advice=_by_hand(subject, str(error)))
    return Patch((Edit(place.path, text, after),), told(_reason(subject), _WARNING))


_WARNING: Final = (
    "Choose how long a caller can wait, and catch the error that the client then raises: it is a"
    " 500 else."
)


def _by_hand(subject: Subject, why: str) -> str:
    where_it_is = where(subject.finding.place)
    seconds = _seconds(subject)
    code = (
        f"timeout={seconds:.1f}  # httpx, requests, urllib3, smtplib\n"
        f"timeout=aiohttp.{_CLASS}(total={seconds})  # aiohttp"
    )
    return told(
        f"{where_it_is}, waits without end: give the call, or the client that it is made with, a"
        " timeout.",
        f"no patch was written: {why}.",
        _reason(subject),
        _WARNING,
        code=code,
    )


def _reason(subject: Subject) -> str:
    nearly_all = _nearly_all_ms(subject)
    seconds = f"{_seconds(subject)} s is a suggestion"
    if nearly_all is None:
        return f"{seconds}."
    ms, count = nearly_all
    share = "95 of 100 answers" if count >= _FEWEST_CALLS else "the slowest answer"
    came = "were there within" if count >= _FEWEST_CALLS else "took"
    return f"{seconds}: in the recording {share} {came} {milliseconds(ms)}."


def _seconds(subject: Subject) -> int:
    nearly_all = _nearly_all_ms(subject)
    ms = 0.0 if nearly_all is None else nearly_all[0]
    return max(_LEAST_S, _STEP_S * ceil(_MARGIN * ms / 1000 / _STEP_S))


def _nearly_all_ms(subject: Subject) -> tuple[float, int] | None:
    """What 95 of 100 calls of the line took at most, and how many there were."""
    took = sorted(ms for trace in subject.traces for ms in _took_ms(trace, subject.finding))
    if not took:
        return None
    return took[ceil(_NEARLY_ALL * len(took)) - 1], len(took)


def _took_ms(trace: Trace, finding: Finding) -> Iterator[float]:
    """What each call of the finding's line took, to the end of its answer."""
    host = finding.evidence.get("host")
    for lane in trace.lanes:
        calls: list[tuple[int, int, bool]] = []
        for one in sorted(lane.slices, key=lambda one: one.start_ns):
            if one.segment != REMOTE or not isinstance(one.what, tuple) or one.what[0] != host:
                continue
            is_reading_on = len(one.what) > 3 and one.what[3] is True
            if is_reading_on and calls:
                calls[-1] = (calls[-1][0], one.end_ns, calls[-1][2])
            elif not is_reading_on:
                calls.append((one.start_ns, one.end_ns, one.place == finding.place))
        yield from ((end - start) / 1e6 for start, end, is_mine in calls if is_mine)


class _Change(NamedTuple):
    """Code in place of a node, or one more argument of a call."""

    node: cst.CSTNode
    code: str


class _Writing:
    """A timeout, as it is written into one file."""

    def __init__(self, subject: Subject, place: Place, source: Source) -> None:
        self._place = place
        self._is_mail = str(subject.finding.evidence.get("host")).startswith(_MAIL)
        self._seconds = _seconds(subject)
        self._source = source
        self._names = Names(source, subject.read)
        self._clients = Clients(source, self._names)
        self._width = width_of(place.path, subject.read)
        self._needs_class = False

    def text(self) -> str:
        """The file with the timeout.

        Raises:
            CannotWriteError: it is not certain where or how it is written.
        """
        statement = self._source.statement_at(self._place.line, self._place.function)
        change = self._of_mail(statement) if self._is_mail else self._of_request(statement)
        text = self._changed(change)
        if self._needs_class:
            text = with_import(self._place.path, text, AIOHTTP, [_CLASS], self._width)
        try:
            ast.parse(text.removeprefix("\ufeff"))
        except SyntaxError as error:
            raise CannotWriteError("what stands there leaves no room for it") from error
        return text

    def _changed(self, change: _Change) -> str:
        source, (node, code) = self._source, change
        if isinstance(node, cst.Call):
            return inserted(source.text, [with_argument(source, node, code)], self._width)
        start, end = source.span(node)
        return source.text[:start] + code + source.text[end:]

    def _of_request(self, statement: cst.CSTNode) -> _Change:
        call = self._call(statement)
        client = self._clients.of_call(call)
        library = "" if client is None else client.library
        if named_argument(call, _TIMEOUT) is not None:
            return self._set(call, library)
        made = None if client is None else client.made
        if made is not None and self._is_in_same_function(made, call):
            change = self._of_client(made, library)
            if change is not None:
                return change
        return self._added(call, library)

    def _is_in_same_function(self, one: cst.CSTNode, other: cst.CSTNode) -> bool:
        return self._source.function_of(one) is self._source.function_of(other)

    def _of_client(self, made: cst.Call, library: str) -> _Change | None:
        """A bound for all calls of a client; None where it is better written at the call."""
        given = named_argument(made, _TIMEOUT)
        if given is None:
            # Clients of httpx wait 5 s where nothing is said; those of requests take none.
            return self._added(made, library) if library == AIOHTTP and not is_open(made) else None
        is_elsewhere = isinstance(given.value, (cst.Name, cst.Attribute))
        if is_elsewhere and not _is_none(given.value):
            return None
        return self._set(made, library)

    def _call(self, statement: cst.CSTNode) -> cst.Call:
        """The call that sends a request.

        Raises:
            CannotWriteError: there is none, or there are several.
        """
        found = [
            one
            for one in within(statement)
            if isinstance(one, cst.Call)
            and isinstance(one.func, cst.Attribute)
            and one.func.attr.value in VERBS
        ]
        if len(found) > 1:
            found = [one for one in found if self._clients.of_call(one) is not None]
        if len(found) != 1:
            raise CannotWriteError("it is not certain which call sends the request")
        return found[0]

    def _set(self, call: cst.Call, library: str) -> _Change:
        """Seconds in place of the `None` that is given.

        Raises:
            CannotWriteError: what is given is nothing that can be followed.
        """
        given = named_argument(call, _TIMEOUT)
        value = None if given is None else given.value
        if value is not None and _is_none(value):
            return _Change(value, self._code(library))
        if isinstance(value, cst.Call) and self._is_endless(value):
            return _Change(value, f"total={self._seconds}")
        if isinstance(value, cst.Tuple):
            nones = [one.value for one in value.elements if _is_none(one.value)]
        elif isinstance(value, cst.Call):
            nones = list(_nones_of(value))
        else:
            nones = []
        if len(nones) == 1:
            is_whole = library == AIOHTTP
            return _Change(nones[0], str(self._seconds) if is_whole else f"{self._seconds:.1f}")
        raise CannotWriteError("a `timeout` is given there already, and not as `None`")

    def _is_endless(self, value: cst.Call) -> bool:
        """Whether it is a timeout of aiohttp with no bound for the whole: that is its default."""
        is_class = self._names.comes_from(value.func, _CLASS, AIOHTTP)
        has_total = named_argument(value, "total") is not None
        has_other = named_argument(value, "sock_read") is not None
        is_plain = all(one.keyword is not None for one in value.args)
        return is_class and is_plain and not (has_total or has_other or is_open(value))

    def _added(self, call: cst.Call, library: str) -> _Change:
        if not library:
            raise CannotWriteError("it is not seen of which library the client is")
        if is_open(call):
            raise CannotWriteError("the call takes arguments that are not seen there")
        return _Change(call, f"{_TIMEOUT}={self._code(library)}")

    def _code(self, library: str) -> str:
        if library != AIOHTTP:
            return f"{self._seconds:.1f}"
        return f"{self._class()}(total={self._seconds})"

    def _class(self) -> str:
        """How the class of aiohttp's timeouts is written in the file."""
        for here, there in self._names.imported.items():
            if there == (AIOHTTP, _CLASS):
                return here
            if there == (AIOHTTP, "") and not self._names.is_rebound(here):
                return f"{here}.{_CLASS}"
        if not self._names.is_free(_CLASS):
            raise CannotWriteError(f"`{_CLASS}` means something else in the file")
        self._needs_class = True
        return _CLASS

    def _of_mail(self, statement: cst.CSTNode) -> _Change:
        """The call that opens the connection, in the same function as what is said over it."""
        function = self._source.function_of(statement)
        nodes: Sequence[cst.CSTNode] = [] if function is None else list(under(function))
        made = [one for one in nodes if isinstance(one, cst.Call) and self._makes_mail(one)]
        if len(made) != 1:
            raise CannotWriteError("it is not seen where the connection is opened")
        if named_argument(made[0], _TIMEOUT) is not None:
            return self._set(made[0], "")
        positions = [one for one in made[0].args if one.keyword is None]
        if is_open(made[0]) or len(positions) > _PLACES_BEFORE_TIMEOUT:
            raise CannotWriteError("the call takes arguments that are not seen there")
        return _Change(made[0], f"{_TIMEOUT}={self._seconds:.1f}")

    def _makes_mail(self, call: cst.Call) -> bool:
        return any(self._names.comes_from(call.func, one, "smtplib") for one in _MAKES_MAIL)


def _is_none(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"


def _nones_of(call: cst.Call) -> Iterator[cst.BaseExpression]:
    """Where an object that is a timeout leaves the answer unbounded."""
    name = call.func.attr if isinstance(call.func, cst.Attribute) else call.func
    if not isinstance(name, cst.Name) or name.value not in _TIMEOUT_CLASSES:
        return
    for index, one in enumerate(call.args):
        is_first = one.keyword is None and index == 0
        if _is_none(one.value) and (is_first or (one.keyword and one.keyword.value in _BOUND_BY)):
            yield one.value
