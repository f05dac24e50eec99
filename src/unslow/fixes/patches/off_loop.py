"""Takes a blocking call off the event loop: `await asyncio.to_thread(...)` around it.

Only a call that a coroutine makes itself can be handed over like that: its own line, or that of a
plain function which it calls. What lies deeper holds locks and half-made imports of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import libcst as cst
from libcst import matchers as m

from ...model.proof import Arm
from ...model.trace import SEGMENTS, SQL, Place
from ...numbers import counted
from ..switches.off_loop import Change, change_of, digest_of
from .asyncio_import import is_global, module_name, with_asyncio
from .calls import Call, Function, Source, source_of
from .hand_over import HandOver, handed_over, in_one_line
from .helper_calls import HelperCall, call_of_helper
from .layout import Insertion, inserted
from .patch import CannotTryError, Edit, Patch, Subject

_ID: Final = "off-loop"


class _Plan(NamedTuple):
    path: str
    source: Source
    call: Call
    handed: HandOver


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The call, handed over to a thread.

    Raises:
        CannotTryError: it is not certain which call it is, or it cannot be handed over.
    """
    plan = _planned(subject)
    text, call, function = plan.source.text, plan.call, plan.call.function
    change = Change(
        path=plan.path,
        function=function.qualified_name,
        line=function.first_line,
        start=call.start,
        end=call.end,
        call=_text(plan.source, call),
        source=plan.handed.source,
        to_thread=plan.handed.to_thread,
        text_digest=digest_of(text),
    )
    return (Arm(_ID, in_one_line(change.source), change._asdict()),)


def write(subject: Subject, arm: Arm) -> Patch:
    """The call handed over in its file, with the import; where it has moved on, advice."""
    change = change_of(arm.parameters)
    text = subject.read(change.path)
    try:
        source = None if text is None else source_of(text)
        if source is None:
            raise ValueError("it cannot be read, or has changed since")
        found = _found_again(source, change)
        if found is None:
            return Patch()
        after = with_asyncio(_replaced(source, found, _as_written(source, found, change)))
    except ValueError as error:
        return Patch(advice=f"{_by_hand(change)} No patch is written for {change.path}: {error}.")
    advice = " ".join(_warnings(subject, change.path, found))
    return Patch((Edit(change.path, source.text, after),), advice)


def _planned(subject: Subject) -> _Plan:
    place = subject.finding.place
    if place is None:
        raise CannotTryError("No line of your own code was seen to make the call.")
    source = _read(subject, place.path)
    function = source.function_at(place.line, place.function)
    if function is None:
        raise CannotTryError(f"{place.path} has no function `{place.function}` at that line.")
    path = place.path
    if function.is_async:
        call, whole = _blocking_call(subject, source, function, place)
    else:
        helper: HelperCall = call_of_helper(subject, place, function)
        path, source, call, whole = helper.path, helper.source, helper.call, False
    try:
        handed = handed_over(source, call, whole=whole)
    except ValueError as error:
        raise CannotTryError(
            f"`{in_one_line(_text(source, call))}` cannot be handed over: {error}."
        ) from None
    plan = _Plan(path, source, call, handed)
    _require_own_name(plan)
    return plan


def _read(subject: Subject, path: str) -> Source:
    text = subject.read(path)
    if text is None:
        raise CannotTryError(f"{path} cannot be read, or has changed since the recording.")
    try:
        return source_of(text)
    except ValueError as error:
        raise CannotTryError(f"{path} cannot be changed: {error}.") from None


def _require_own_name(plan: _Plan) -> None:
    """In the function, the name of asyncio must be the one of the file."""
    text, call = plan.source.text, plan.call
    changed = text[: call.start] + plan.handed.source + text[call.end :]
    name, _, _ = plan.handed.to_thread.partition(".")
    try:
        is_own = is_global(changed, call.function, name)
    except SyntaxError:
        raise CannotTryError("No `await` can stand in place of the call.") from None
    if not is_own:
        raise CannotTryError(
            f"In `{call.function.qualified_name}` the name `{name}` stands for something else."
        )


def _blocking_call(
    subject: Subject, source: Source, function: Function, place: Place
) -> tuple[Call, bool]:
    """The call of a line that blocks, and whether it is to be handed over as a whole.

    Raises:
        CannotTryError: it may be one or another.
    """
    line = [one for one in source.calls_of(function) if one.line == place.line]
    usable = [one for one in line if not one.is_awaited]
    what = str(subject.finding.evidence.get("what") or "").rpartition(".")[2]
    named = [one for one in usable if what and one.name == what]
    if len(named) == 1:
        return _with_its_use(source, named[0]) if what == "open" else (named[0], False)
    if len(usable) < len(line):
        raise CannotTryError(
            "The line awaits something: what blocks may be a part of it, and is no call of its own."
        )
    active = named or [one for one in usable if not one.is_quick]
    active = active or [one for one in usable if one.is_construction]
    outermost = [one for one in active if all(one.holds(other) for other in active)]
    if not outermost:
        raise CannotTryError(_uncertain(active))
    return outermost[0], len(active) > 1


def _uncertain(active: list[Call]) -> str:
    if active:
        return f"{counted(len(active), 'call')} of the line may be the one that blocks."
    return "No call of the line can be told to be the one that blocks."


def _with_its_use(source: Source, call: Call) -> tuple[Call, bool]:
    """With `open`, what reads from the file at once belongs to it."""
    attribute = source.parent_of(call.node)
    used = None if not isinstance(attribute, cst.Attribute) else source.parent_of(attribute)
    around = [one for one in source.calls_of(call.function) if one.node is used]
    return (around[0], True) if around else (call, False)


def _text(source: Source, call: Call) -> str:
    return source.text[call.start : call.end]


def _found_again(source: Source, change: Change) -> Call | None:
    """The call in a text that may have other changes by now; None where it is handed over.

    Raises:
        ValueError: it is not certain.
    """
    mine = [one for one in source.functions if one.qualified_name == change.function]
    calls = [one for function in mine for one in source.calls_of(function)]
    calls = [one for one in calls if _text(source, one) == change.call and not one.fixed_by]
    if digest_of(source.text) == change.text_digest:
        calls = [one for one in calls if one.start == change.start]
    elif not calls and any(_has(source, one, change) for one in mine):
        return None
    is_same_name = change.to_thread == f"{module_name(source)}.to_thread"
    if len(calls) != 1 or not is_same_name:
        raise ValueError("it has changed since")
    return calls[0]


def _has(source: Source, function: Function, change: Change) -> bool:
    """Whether a function has the change already, in whatever lines."""
    wanted = in_one_line(change.source)
    found = m.findall(function.node.body, m.Await())
    return any(in_one_line(source.code_of(one)) == wanted for one in found)


def _as_written(source: Source, call: Call, change: Change) -> str:
    """The text of a change, in the lines that somebody would give it."""
    for whole in (False, True):
        handed = handed_over(source, call, whole=whole, keeps_lines=False)
        if in_one_line(handed.source) == in_one_line(change.source):
            return handed.source
    raise ValueError("it has changed since")


def _replaced(source: Source, call: Call, text: str) -> str:
    without = source.text[: call.start] + source.text[call.end :]
    return inserted(without, [Insertion(call.start, text)])


def _by_hand(change: Change) -> str:
    return (
        f"In `{change.function}`, write `{in_one_line(change.source)}`"
        f" in place of `{in_one_line(change.call)}`, and import asyncio."
    )


def _warnings(subject: Subject, path: str, call: Call) -> Iterator[str]:
    """What no trial sees, and what a reader of the patch has to know."""
    function = call.function
    yield (
        "The call then runs in a worker thread. When its request is cancelled or times out, it goes"
        " on there to its end. What Python keeps by thread (`threading.local`, an `RLock`) is"
        " another one there, and context variables that it sets are not seen outside. Other"
        f" requests run meanwhile: a lock that `{function.qualified_name}` holds, or a value that"
        " it reads before and writes after, is open to them. As many such calls wait at once as"
        " asyncio has threads: 4 more than there are processors, and at most 32."
    )
    if subject.finding.evidence.get("segment") == SEGMENTS[SQL]:
        yield (
            "Its session or connection is used in that thread: it must be this request's alone,"
            " and rows or attributes that are loaded later hold the loop as before."
        )
    if _is_endpoint(subject, path, function) and not _awaits(function):
        yield (
            f"`{function.name}` awaits nothing else: `def {function.name}` in place of the patch"
            " would do as well, as the framework then runs all of it in a thread."
        )


def _is_endpoint(subject: Subject, path: str, function: Function) -> bool:
    endpoints = [one.endpoint for one in subject.traces if one.endpoint is not None]
    return (path, function.qualified_name) in {(one.path, one.function) for one in endpoints}


def _awaits(function: Function) -> bool:
    waits = m.OneOf(m.Await(), m.Asynchronous())
    return bool(m.findall(function.node.body, waits))
